"""The keys of a log in Redis. All have one hash tag, so they are on one node."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LogKeys:
    """The keys of one installation. `name` tells it from others that use the same Redis."""

    name: str

    def stream(self, epoch: str) -> str:
        """The stream with the entries of an epoch of the log. Numbers of different epochs are never mixed up."""
        return self._key(f"log:{epoch}")

    @property
    def epochs(self) -> str:
        """The stream with the epochs, so that readers learn at once of a new one."""
        return self._key("epochs")

    @property
    def meta(self) -> str:
        """The hash with the epoch, the term of the writer, and the place of the last entry."""
        return self._key("meta")

    @property
    def retained(self) -> str:
        """The hash with the newest entry of each retained key."""
        return self._key("retained")

    @property
    def snapshot(self) -> str:
        """The state of the odds at one place in the log, for processes that join."""
        return self._key("snapshot")

    @property
    def wanted(self) -> str:
        """Set while a process waits for a snapshot."""
        return self._key("snapshot-wanted")

    @property
    def processes(self) -> str:
        """The hash with the report of each process."""
        return self._key("processes")

    def run(self, run_id: int) -> str:
        """The stream with the progress of one run."""
        return self._key(f"run:{run_id}")

    def _key(self, what: str) -> str:
        return f"quart-odds:{{{self.name}}}:{what}"
