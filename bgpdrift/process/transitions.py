"""A life cycle as a table of (state, event) → state, checked when it is built.

The table decides which state follows. The module that owns the table decides when an event happens and what it causes.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Generic, TypeVar

from bgpdrift.errors import IllegalTransitionError

S = TypeVar("S", bound=str)
E = TypeVar("E", bound=str)


class TransitionTable(Generic[S, E]):
    """The states of one kind of object and the events that change them.

    Parameters
    ----------
    name : str
        The kind of object, for messages.
    states, events : iterable of str
        All states and all events.
    transitions : mapping of (str, str) to str
        The state that follows each legal pair of state and event.
    initial : str
        The state of a new object.

    Raises
    ------
    ValueError
        The table names an unknown state or event, a state cannot be reached from ``initial``, or an event is not used.

    Examples
    --------
    >>> door = TransitionTable(
    ...     "door", ("open", "shut"), ("close",), {("open", "close"): "shut"}, initial="open"
    ... )
    >>> door.next_state("open", "close"), door.allows("shut", "close"), sorted(door.final_states)
    ('shut', False, ['shut'])
    >>> door.next_state("shut", "close")
    Traceback (most recent call last):
    bgpdrift.errors.IllegalTransitionError: door: event "close" is not allowed in state "shut"
    """

    def __init__(
        self, name: str, states: Iterable[S], events: Iterable[E], transitions: Mapping[tuple[S, E], S], *, initial: S
    ) -> None:
        self.name, self.initial = name, initial
        self.states, self.events = tuple(states), tuple(events)
        self.transitions: Mapping[tuple[S, E], S] = MappingProxyType(dict(transitions))
        self._check()
        self.final_states = frozenset(self.states) - {state for state, _ in self.transitions}
        """States that no event leaves."""

    def allows(self, state: S, event: E) -> bool:
        """Whether ``event`` may happen in ``state``."""
        return (state, event) in self.transitions

    def next_state(self, state: S, *events: E) -> S:
        """Return the state after ``events``, one after the other.

        Raises
        ------
        IllegalTransitionError
            The table has no such move. The caller has a bug.
        """
        for event in events:
            if (state, event) not in self.transitions:
                raise IllegalTransitionError(f'{self.name}: event "{event}" is not allowed in state "{state}"')
            state = self.transitions[state, event]
        return state

    def _check(self) -> None:
        named_states: set[str] = {self.initial, *self.transitions.values(), *(state for state, _ in self.transitions)}
        named_events: set[str] = {event for _, event in self.transitions}
        problems: dict[str, set[str]] = {
            "unknown state": named_states - set(self.states),
            "unknown event": named_events - set(self.events),
            "unreachable state": set[str](self.states) - self._reachable(),
            "unused event": set[str](self.events) - named_events,
        }
        for problem, names in problems.items():
            if names:
                raise ValueError(f"{self.name}: {problem}: {', '.join(sorted(names))}")

    def _reachable(self) -> set[S]:
        reached: set[S] = set()
        new = {self.initial}
        while new:
            reached |= new
            new = {target for (source, _), target in self.transitions.items() if source in reached} - reached
        return reached
