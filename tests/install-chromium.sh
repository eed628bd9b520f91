#!/bin/sh
# The browser of the tests that look at the UI: the shell of Debian's chromium, or a chromium that is there. Without either, and
# without root or apt, those tests skip and say so.
if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends chromium-headless-shell fonts-dejavu-core >/dev/null && exit 0
fi
command -v chromium >/dev/null || echo "No chromium: install it (apt-get install chromium-headless-shell) to run the browser tests."
