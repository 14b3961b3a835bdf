"""Draws a change: two pictures of one thing as one, in which every part says what becomes of it."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final, TypeVar

from graphc.view.drawing import Arrow, Box, Change, Drawing, Frame, Told

_Part = TypeVar("_Part", Box, Frame)

_FIGURES: Final = frozenset({"takes", "its nodes take", "its call takes", "it is sent", "it answers"})
"""Facts that follow from others: predictions."""
_WHY: Final = "why"
_FUSED_IN: Final = "fused in from"
_FUSED_INTO: Final = "fused into"
_PARTED: Final = "parted into"
_RUNS_IN: Final = "runs in: "
CONTENT: Final = "content"
"""The fact that tells a file's content from another's of its name."""


def draw_change(before: Drawing | None, after: Drawing | None) -> Drawing:
    """Return both pictures as one; what has no picture before is added as a whole, or removed after."""
    shown = after or before
    if shown is None:
        raise ValueError("a change has a picture before it, or after it")
    if before is None or after is None:
        change: Change = "added" if before is None else "removed"
        drawing = replace(
            shown,
            boxes=tuple(_mark(each, change) for each in shown.boxes),
            arrows=tuple(replace(each, change=change) for each in shown.arrows),
            frames=tuple(_mark(each, change) for each in shown.frames),
        )
        return replace(drawing, told=())
    frames = tuple(_join_frames(before, after))
    boxes = tuple(_join_boxes(before, after))
    return Drawing(
        _join_titles(before.title, after.title),
        _join_subtitles(before.subtitle, after.subtitle),
        boxes,
        tuple(_join_arrows(before.arrows, after.arrows)),
        frames,
        (*_tell_boxes(boxes), *_tell_frames(frames)),
    )


def _mark(part: _Part, change: Change | None, words: Sequence[str] = ()) -> _Part:
    facts = {"changed" if not index else f"changed ({index + 1})": each for index, each in enumerate(words)}
    return replace(part, is_slow=False, change=change, words=tuple(words), facts={**facts, **part.facts})


def _join_titles(before: str, after: str) -> str:
    return after if before == after else f"{before} → {after}"


def _join_subtitles(before: str, after: str) -> str:
    start = before.partition(":")[0] + ": "
    if before == after or not after.startswith(start):
        return _join_titles(before, after)
    return f"{before} → {after.removeprefix(start)}"


# --- Boxes and arrows ----------------------------------------------------------------------------------


def _join_boxes(before: Drawing, after: Drawing) -> Iterator[Box]:
    """Yield the boxes of after, and then those that are gone."""
    old, new = {box.id: box for box in before.boxes}, {box.id: box for box in after.boxes}
    reads = [_list_reads(each) for each in (before, after)]
    for id_, box in new.items():
        if id_ not in old:
            yield _mark(box, "added")
            continue
        words = list(_compare_boxes(old[id_], box, *(each[id_] for each in reads)))
        # A node that another unit runs now is the same node: its unit tells of it.
        own = [each for each in words if not each.startswith(_RUNS_IN)]
        yield _mark(box, "changed" if own else None, sorted(words, key=lambda each: each not in own))
    yield from (_mark(box, "removed") for id_, box in old.items() if id_ not in new)


def _compare_boxes(old: Box, new: Box, read: Sequence[str], reads: Sequence[str]) -> Iterator[str]:
    facts = list(_compare_facts(old.facts, new.facts))
    if old.kind != new.kind or (old.subtitle != new.subtitle and not facts):
        yield f"{old.subtitle or old.kind} → {new.subtitle or new.kind}"
    if read != reads:
        yield f"reads: {', '.join(read) or 'nothing'} → {', '.join(reads) or 'nothing'}"
    yield from facts


def _compare_facts(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[str]:
    for name in dict.fromkeys([*new, *old]):
        if name in _FIGURES or name.startswith(_WHY) or old.get(name) == new.get(name):
            continue
        # A file of another name is told by its name.
        if name == CONTENT and (name not in old or name not in new or old.get("model") != new.get("model")):
            continue
        if name not in old:
            yield f"{name}: {new[name]}"
        elif name not in new:
            yield f"{name}: no longer {old[name]}"
        else:
            yield f"{name}: {old[name]} → {new[name]}"


def _list_reads(drawing: Drawing) -> Mapping[str, list[str]]:
    titles = {box.id: box.title for box in drawing.boxes}
    found: dict[str, list[str]] = defaultdict(list)
    for arrow in drawing.arrows:
        found[arrow.target].append(titles[arrow.source] + ("?" if arrow.is_choice else ""))
    return found


def _join_arrows(before: Sequence[Arrow], after: Sequence[Arrow]) -> Iterator[Arrow]:
    old = {(each.source, each.target, each.is_choice): each for each in before}
    for each in after:
        found = old.pop((each.source, each.target, each.is_choice), None)
        change: Change | None = (
            "added" if found is None else "changed" if found.tensors != each.tensors else None
        )
        yield replace(each, change=change)
    yield from (replace(each, change="removed") for each in old.values())


# --- Units ---------------------------------------------------------------------------------------------


def _join_frames(before: Drawing, after: Drawing) -> Iterator[Frame]:
    """Yield the frames of after, each with what is gone from it, and then those that are gone."""
    old, new = ({frame.id: frame for frame in each.frames} for each in (before, after))
    titles = {box.id: box.title for box in (*before.boxes, *after.boxes)}
    were, are = (_find_frames(each.frames) for each in (before, after))
    for id_, frame in new.items():
        known = old.get(id_)
        gone = () if known is None else tuple(each for each in known.members if each not in are)
        moved = list(_tell_moves(frame, were, are, titles))
        facts = [] if known is None else list(_compare_facts(known.facts, frame.facts))
        changed = bool(moved or facts or (known is not None and known.members != frame.members))
        words = [*moved, *_tell_members(frame, were, titles), *facts]
        yield _mark(
            replace(frame, members=(*frame.members, *gone)),
            "added" if known is None else "changed" if changed else None,
            words if changed or known is None else (),
        )
    for id_, frame in old.items():
        if id_ not in new:
            gone = tuple(each for each in frame.members if each not in are)
            words = list(_tell_moves(frame, were, are, titles))
            yield _mark(replace(frame, members=gone), "removed", words)


def _find_frames(frames: Sequence[Frame]) -> dict[str, Frame]:
    return {member: frame for frame in frames for member in frame.members}


def _tell_moves(
    frame: Frame, were: Mapping[str, Frame], are: Mapping[str, Frame], titles: Mapping[str, str]
) -> Iterator[str]:
    """Say which nodes a unit got from others, and which it gave to others: what was fused and what was parted."""
    got: dict[str, list[str]] = defaultdict(list)
    gave: dict[str, list[str]] = defaultdict(list)
    for member, there in were.items():
        now = are.get(member)
        if now is None or now.id == there.id:
            continue
        if now.id == frame.id:
            got[there.title].append(titles[member])
        if there.id == frame.id:
            gave[now.title].append(titles[member])
    stood, stands = ({each.id for each in frames.values()} for frames in (were, are))
    for unit, names in got.items():
        is_parted = frame.id not in stood and _count_heirs(unit, were, are) > 1
        is_fused = frame.id in stood or len(got) > 1
        taken = "parted from" if is_parted else _FUSED_IN if is_fused else "runs what ran in"
        yield f"{taken} `{unit}`: {', '.join(names)}"
    for unit, names in gave.items():
        is_parted = frame.id in stands or len(gave) > 1
        yield f"{_PARTED if is_parted else _FUSED_INTO} `{unit}`: {', '.join(names)}"


def _count_heirs(unit: str, were: Mapping[str, Frame], are: Mapping[str, Frame]) -> int:
    """Return how many units run now what ran in one."""
    return len({are[each].id for each, frame in were.items() if frame.title == unit and each in are})


def _tell_members(frame: Frame, were: Mapping[str, Frame], titles: Mapping[str, str]) -> Iterator[str]:
    added = [titles[each] for each in frame.members if each not in were]
    if added:
        yield f"runs the new {', '.join(added)}"


# --- Words ---------------------------------------------------------------------------------------------


def _tell_boxes(boxes: Sequence[Box]) -> Iterator[Told]:
    for box in boxes:
        what = box.kind if box.kind in ("input", "output") else "node"
        # What unit a node runs in is told of the units.
        words = [each for each in box.words if not each.startswith(_RUNS_IN)]
        if box.change == "changed":
            yield from (Told("changed", f"{what} `{box.title}`: {each}") for each in words)
        elif box.change is not None:
            said = f" ({box.subtitle})" if box.subtitle else ""
            yield Told(box.change, f"{what} `{box.title}`{said}")


def _tell_frames(frames: Sequence[Frame]) -> Iterator[Told]:
    # A move is told once: of the unit that is new, else of the one that is gone, else of the one that got the nodes.
    of_new = tuple(
        f"{verb} `{each.title}`"
        for each in frames
        if each.change == "added"
        for verb in (_PARTED, _FUSED_INTO)
    )
    of_gone = tuple(f"{_FUSED_IN} `{each.title}`" for each in frames if each.change == "removed")
    for frame in frames:
        if frame.change == "changed":
            words = (each for each in frame.words if not each.startswith((f"{_PARTED} ", *of_gone)))
            yield from (Told("changed", f"unit `{frame.title}`: {each}") for each in words)
        elif frame.change is not None:
            words = "; ".join(each for each in frame.words if not each.startswith(of_new))
            yield Told(frame.change, f"unit `{frame.title}`{': ' if words else ''}{words}")
