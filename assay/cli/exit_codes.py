"""What a command's exit code says. The table in docs/cli.md is this one."""

EXIT_DONE = 0
EXIT_ERROR = 1  # what was asked for could not be done
EXIT_USAGE = 2  # a command, option or argument that is not known, or is missing
EXIT_NO = 3  # done, and the answer is no: batches were stopped, a contract breaks somebody, something was changed
EXIT_STOPPED = 130  # Ctrl-C: what was begun is done, the rest is not
