"""Every cell of the table, and that no label which rises ever relaxes a verdict."""

from __future__ import annotations

from itertools import product

import pytest

from assistant.policy import Condition, Kind, Sink, Verdict, judge, permits
from assistant.tools import known
from assistant.turn import SEEN, WEARER, Confidentiality, Integrity, Label

T, U = Integrity.TRUSTED, Integrity.UNTRUSTED
PUBLIC, PRIVATE, SEALED = Confidentiality
A, C, D = Kind.ALLOW, Kind.CONFIRM, Kind.DENY
ASKED, BACK, UNDO = Condition.ASKED, Condition.READ_BACK, Condition.UNDO

EXPECTED = {
    (Sink.SPEAK, T, PUBLIC): (A, set()),
    (Sink.SPEAK, T, PRIVATE): (A, set()),
    (Sink.SPEAK, T, SEALED): (A, set()),
    (Sink.SPEAK, U, PUBLIC): (Kind.ATTRIBUTED, set()),
    (Sink.SPEAK, U, PRIVATE): (Kind.ATTRIBUTED, set()),
    (Sink.SPEAK, U, SEALED): (Kind.ATTRIBUTED, set()),
    (Sink.TIMER, T, PUBLIC): (A, {BACK}),
    (Sink.TIMER, T, PRIVATE): (A, {BACK}),
    (Sink.TIMER, T, SEALED): (D, set()),
    (Sink.TIMER, U, PUBLIC): (A, {BACK, ASKED}),
    (Sink.TIMER, U, PRIVATE): (A, {BACK, ASKED}),
    (Sink.TIMER, U, SEALED): (D, set()),
    (Sink.EDIT, T, PUBLIC): (A, {UNDO}),
    (Sink.EDIT, T, PRIVATE): (A, {UNDO}),
    (Sink.EDIT, T, SEALED): (D, set()),
    (Sink.EDIT, U, PUBLIC): (C, {UNDO}),
    (Sink.EDIT, U, PRIVATE): (C, {UNDO}),
    (Sink.EDIT, U, SEALED): (D, set()),
}
CELLS = list(product(Sink, Integrity, Confidentiality))
LABELS = [Label(*each) for each in product(Integrity, Confidentiality)]
PAIRS = list(product(LABELS, LABELS))


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: "-".join(str(each) for each in cell))
def test_every_cell(cell: tuple[Sink, Integrity, Confidentiality]) -> None:
    verdict = judge(cell[0], Label(cell[1], cell[2]))
    assert (verdict.kind, verdict.conditions) == EXPECTED[cell]
    assert verdict.reason


@pytest.mark.parametrize("sink", Sink)
@pytest.mark.parametrize(("low", "other"), PAIRS)
def test_a_raised_label_never_relaxes_a_verdict(sink: Sink, low: Label, other: Label) -> None:
    before, after = judge(sink, low), judge(sink, low | other)
    assert after.kind >= before.kind
    if after.kind is not Kind.DENY:  # a no needs no conditions
        assert after.conditions >= before.conditions


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_joining_labels_only_raises_them(one: Label, other: Label) -> None:
    joined = one | other
    assert joined == other | one == joined | one
    assert joined.integrity >= one.integrity
    assert joined.confidentiality >= one.confidentiality


def test_the_sources_of_a_label_are_kept() -> None:
    assert (WEARER | SEEN).sources == {"wearer", "picture"}
    assert str(WEARER | SEEN) == "untrusted private (picture+wearer)"


@pytest.mark.parametrize("kind", list(Kind)[1:])
def test_what_asks_for_more_than_a_yes_is_a_no(kind: Kind) -> None:
    assert not permits(Verdict(kind, "because"), {}, "anything")


def test_only_words_that_the_wearer_said_may_become_arguments() -> None:
    verdict = judge(Sink.TIMER, SEEN)
    asked = "Set it for Five Minutes"
    assert permits(verdict, {"duration": "five minutes", "name": ""}, asked)
    assert not permits(verdict, {"duration": "ten minutes", "name": ""}, asked)
    assert not permits(verdict, {"duration": "five minutes", "name": "bank"}, asked)
    assert permits(judge(Sink.TIMER, WEARER), {"duration": "ten minutes"}, asked)


def test_a_tool_with_an_effect_says_so() -> None:
    effects = {name: tool.sink for name, tool in known().items() if tool.sink}
    assert effects == {"set_timer": Sink.TIMER, "cancel_timer": Sink.EDIT}
