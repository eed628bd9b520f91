"""What sources cannot be read for want of a setting: a mark on the table, and the sentence of `assay status`.

It is what somebody who looked at the pipeline found; the console loads no project, and says when that was.
"""

from contextlib import suppress
from dataclasses import dataclass

from assay.features.storage.missing_settings import MissingSetting, missing_settings
from assay.features.tables.guard import Denied
from assay.features.tables.lake import Lake
from assay.web.badges import Badge
from assay.web.html import link
from assay.web.values import moment


@dataclass(frozen=True, slots=True)
class Lacking:
    """A missing setting as pages show it."""

    setting: MissingSetting

    @property
    def badge(self) -> Badge:
        return Badge("! cannot be read", "warned", f"{self.sentence} {self.times}")

    @property
    def sentence(self) -> str:
        return self.setting.sentence

    @property
    def times(self) -> str:
        return f"Since {moment(self.setting.since)}, last seen {moment(self.setting.seen)} UTC."

    @property
    def href(self) -> str:
        return f"{link(f'/versions/{self.setting.table}')}#setting"


def lacking_of(lake: Lake) -> dict[str, Lacking]:
    """By table, of those that may be read."""
    found = {}
    for table, setting in missing_settings(lake.storage).items():
        with suppress(Denied):
            lake.allow("read", table)
            found[table] = Lacking(setting)
    return found
