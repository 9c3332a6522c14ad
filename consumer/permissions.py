"""What the operator allows or requires at one start: `run`'s flags of recovery and of the warm start.

Those of recovery act only on a partition that is in the situation they are meant for; every other one is restored as
always.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Permissions(NamedTuple):
    """The flags, in force for each partition that this process restores.

    Attributes:
        adopt_state: take over a state of another fingerprint or hash seed, where it stands at the committed offset.
        rebuild: go on without a referenced checkpoint that is missing, on a lower rung of the recovery ladder.
        resume_after_output: where the committed offset is lost, go on after the last published record.
        publish_anew: where the committed offset is lost, start at the log's start and publish everything again.
        require_warm_start: do not start without the model of `ML_MODEL_PATH`.
    """

    adopt_state: bool = False
    rebuild: bool = False
    resume_after_output: bool = False
    publish_anew: bool = False
    require_warm_start: bool = False

    def arguments(self) -> list[str]:
        """Return the command-line options that say the same, for the processes of `--workers`."""
        given = self._asdict()
        return ["--" + name.replace("_", "-") for name, is_given in given.items() if is_given]


NONE_GIVEN: Final = Permissions()
