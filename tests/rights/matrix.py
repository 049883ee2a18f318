"""Everything that is in the table, tried in one scene: who did what, and each fault in what came of it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.rights import judge, scene, table, verdict


@dataclass(slots=True)
class Tried:
    """What was tried in a scene, and what was wrong with it."""

    combinations: set[tuple[str, str, str]] = field(default_factory=set)
    times: int = 0
    forged: int = 0
    public: list[judge.Shown] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        lost = sum(judge.public_bytes(shown) for shown in self.public)
        said = f"{len(self.combinations)} combinations, tried {self.times} times ({self.forged} of them forged)"
        return f"{said}: {lost} paid bytes in {len(self.public)} public messages, {len(self.faults)} faults"

    def sentences(self, most: int = 30) -> str:
        return "\n".join([str(self), *self.faults[:most]])


async def everything(at: scene.Scene) -> Tried:
    """Everybody has tried every command here, and nothing waits any more."""
    tried = Tried()
    *commands, last = table.RIGHTS
    for command in commands:
        for line in table.RIGHTS[command].lines(at.place):
            await _line(at, command, line, tried)
    for command, line in table.PRESSED.items():
        await _line(at, command, line, tried, button=True)
    for line in table.RIGHTS[last].lines(at.place):
        await _line(at, last, line, tried)
    await at.rest()
    tried.faults += verdict.unasked(at, tried.public)
    return tried


async def _line(at: scene.Scene, command: str, line: table.Line, tried: Tried, *, button: bool = False) -> None:
    """Everybody has tried this line; operators after all others, so that what moves is known to be theirs."""
    await at.renew()
    if not table.RIGHTS[command].operator:
        # A chat in which ten answers wait hears no more, and eleven are heard when they press.
        for actors in (table.ACTORS[:6], table.ACTORS[6:]) if button else (table.ACTORS,):
            await _by(at, actors, command, line, tried, button=button)
        return
    others = [actor for actor in table.ACTORS if actor != table.OPERATOR]
    before = await at.effects()
    for actors in (others, [table.OPERATOR]):
        await _by(at, actors, command, line, tried, button=button)
        tried.faults += await verdict.noted(at, command, actors, button=button)
        if actors is others or at.place.answers != table.AT_HOME:
            moved = [name for name, rows in (await at.effects()).items() if rows != before[name]]
            who = f"{', '.join(actors)} in the {at.place}"
            tried.faults += [f"/{command} {line.said} of {who} moved {', '.join(moved)}"] if moved else []


async def _by(
    at: scene.Scene, actors: Sequence[str], command: str, line: table.Line, tried: Tried, *, button: bool
) -> None:
    heard = await at.ask(command, line, actors, button=button)
    known = await at.known()
    for actor, one in heard.items():
        tried.faults += verdict.faults(at, actor, command, line, one, known, button=button)
        tried.public += one.public
        tried.combinations.add((command, actor, at.place.name))
    tried.times += len(heard)
    tried.forged += sum(bool(button or table.why_not(at.place, actor, command)) for actor in heard)


def whole(tried: Tried, at: scene.Scene) -> Counter[tuple[str, str, str]]:
    """Combinations of the table that were not tried, and tried ones that are not in it."""
    wanted = Counter(table.combinations(at.place))
    wanted.subtract(tried.combinations)
    return Counter({one: number for one, number in wanted.items() if number})
