"""Which apps must live together."""

from collections.abc import Collection, Iterable, Mapping, Sequence

from .exceptions import ConfigurationError, choices, suggestion

CORE_LABELS = ("auth", "contenttypes", "admin")


class Groups:
    """Groups of labels; the first label of a group is its leader and names its alias."""

    def __init__(
        self,
        labels: Collection[str],
        *,
        auth_user_model: str,
        together: Mapping[str, Iterable[str]] | None = None,
    ) -> None:
        self.labels = labels
        self.core = self._core(auth_user_model)
        self._leaders: dict[str, str] = dict.fromkeys(self.core, self.core[0]) if self.core else {}
        for leader, members in (together or {}).items():
            self._add(leader, members)
        self._members: dict[str, list[str]] = {}
        for label in labels:
            leader = self.leader_of(label)
            group = self._members.setdefault(leader, [leader])
            if label != leader:
                group.append(label)

    def leader_of(self, label: str) -> str:
        """Return the leader of the group of ``label``; ``label`` itself if it is in none."""
        return self._leaders.get(label, label)

    def leaders(self) -> list[str]:
        """Return the leader of each group, also of those of one label, in the order of the apps."""
        return list(self._members)

    def members(self, leader: str) -> Sequence[str]:
        """Return the labels that share the database of ``leader``, the leader first."""
        return self._members[leader]

    def shared(self) -> list[list[str]]:
        """Return the groups of more than one label, the leader of each first."""
        return [list(members) for members in self._members.values() if len(members) > 1]

    def _core(self, auth_user_model: str) -> list[str]:
        """Return the core group: whatever has foreign keys to users and content types."""
        label, dot, name = auth_user_model.partition(".")
        if not (label and dot and name):
            raise ConfigurationError(
                f"auth_user_model is {auth_user_model!r}, and must be 'app_label.ModelName'."
            )
        if "auth" in self.labels:
            self._require(label, "AUTH_USER_MODEL")
        core = [name for name in CORE_LABELS if name in self.labels]
        return [*core, label] if core and label in self.labels and label not in core else core

    def _add(self, leader: str, members: Iterable[str]) -> None:
        if isinstance(members, str):
            raise ConfigurationError(f"together={{{leader!r}: ...}} takes a list of labels.")
        labels = [leader, *members]
        for label in labels:
            self._require(label, "together=")
        joined = {self._leaders[label] for label in labels if label in self._leaders}
        if joined - {leader}:
            raise ConfigurationError(
                f"together= puts {choices(labels)} under {leader!r}, but some of them are in the"
                f" group of {choices(joined - {leader})} already. Write one group:"
                f" together={{{min(joined - {leader})!r}: [...]}}."
            )
        self._leaders.update(dict.fromkeys(labels, leader))

    def _require(self, label: str, where: str) -> None:
        if label not in self.labels:
            raise ConfigurationError(
                f"{where} names the label {label!r}, which no installed app has."
                + suggestion(label, self.labels, "labels")
            )
