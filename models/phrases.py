"""The phrases of builtin/phrases.txt as a language model: text with slots in, ARPA text out.

Nothing is sampled: each slot passes on the probability of all its alternatives at once, so a
phrase with "<number>" in it counts every number a little. The smoothing is the hierarchical
Dirichlet of MacKay and Peto (1995): p(w | h) = (n(h, w) + MU p(w | shorter h)) / (n(h) + MU),
which works on such fractions of counts and gives the backoff weight MU / (n(h) + MU) exactly.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property

START, END = "<s>", "</s>"
MU = {1: 50.0, 2: 1.0, 3: 0.5}
"""How many counts the shorter history is worth, by order; chosen on the tuning sentences."""

RARE = 0.02

Alternatives = tuple[tuple[str, ...], ...]
Counts = Mapping[tuple[str, ...], float]


@dataclass(frozen=True)
class Phrases:
    """A read phrases file: the phrases in order, the slots, the sounds of words to be added."""

    lines: tuple[tuple[str, ...], ...]
    slots: Mapping[str, Alternatives]
    sounds: Mapping[str, str]

    @classmethod
    def read(cls, text: str) -> Phrases:
        """Parses the file's text. Raises ValueError with the number of a line that is wrong."""
        lines: list[tuple[str, ...]] = []
        slots: dict[str, Alternatives] = {}
        sounds: dict[str, str] = {}
        for number, line in enumerate(text.splitlines(), 1):
            line = line.partition("#")[0].strip()
            if slot := re.fullmatch(r"(<[a-z0-9]+>) =(.*)", line):
                slots[slot[1]] = tuple(tuple(a.split()) for a in slot[2].split("|"))
            elif word := re.fullmatch(r"([a-z']+) : ([A-Z ]+)", line):
                sounds[word[1]] = word[2]
            elif re.fullmatch(r"([a-z']+|<[a-z0-9]+>)( ([a-z']+|<[a-z0-9]+>))*", line):
                lines.append(tuple(line.split()))
            elif line:
                raise ValueError(f"line {number} is neither a phrase, a slot nor a word")
        phrases = cls(tuple(lines), slots, sounds)
        named = {token for part in phrases._parts() for token in part if token[0] == "<"}
        if unknown := named - set(slots):
            raise ValueError(f"no slot is called {min(unknown)}")
        return phrases

    def _parts(self) -> Iterable[tuple[str, ...]]:
        yield from self.lines
        for alternatives in self.slots.values():
            yield from alternatives

    @cached_property
    def words(self) -> frozenset[str]:
        """Every word that a phrase can hold."""
        return frozenset(word for part in self._parts() for word in part if word[0] != "<")

    def says(self, sentence: str) -> bool:
        """Whether some phrase can be this sentence, word for word."""
        words = tuple(sentence.split())

        @cache
        def ends(token: str, start: int) -> frozenset[int]:
            if token[0] != "<":
                return frozenset({start + 1} if words[start : start + 1] == (token,) else ())
            return frozenset(end for part in self.slots[token] for end in after(part, start))

        def after(part: tuple[str, ...], start: int) -> frozenset[int]:
            reached = frozenset({start})
            for token in part:
                reached = frozenset(end for place in reached for end in ends(token, place))
            return reached

        return any(len(words) in after(line, 0) for line in self.lines)


def counts(phrases: Phrases, known: Iterable[str]) -> dict[tuple[str, ...], float]:
    """How often each trigram is expected; phrases and alternatives with an unknown word are left
    out, for the decoder would drop the word in silence."""
    known = frozenset(known)
    slots: dict[str, Alternatives] = {}
    for name, alternatives in phrases.slots.items():
        slots[name] = tuple(a for a in alternatives if all(t in known or t in phrases.slots for t in a))
    found: dict[tuple[str, ...], float] = defaultdict(float)

    def shortened(histories: Mapping[tuple[str, str], float]) -> dict[tuple[str, str], float]:
        """One word is history enough where two are rare: else each pair of things is kept."""
        kept: dict[tuple[str, str], float] = defaultdict(float)
        for (first, second), weight in histories.items():
            kept[first if weight >= RARE else "", second] += weight
        return kept

    def walk(
        part: tuple[str, ...], histories: dict[tuple[str, str], float]
    ) -> dict[tuple[str, str], float]:
        """Says `part` after each history of two words; gives the histories after it."""
        for token in part:
            after: dict[tuple[str, str], float] = defaultdict(float)
            if token in slots:
                share = 1 / len(slots[token])
                begin = {history: weight * share for history, weight in histories.items()}
                for alternative in slots[token]:
                    for history, weight in walk(alternative, begin).items():
                        after[history] += weight
            else:
                for (first, second), weight in histories.items():
                    found[first, second, token] += weight
                    after[second, token] += weight
            histories = shortened(after)
        return histories

    for line in phrases.lines:
        if all(token in known or token in slots for token in line):
            walk((*line, END), {("", START): 1.0})
    return found


def arpa(trigrams: Counts, floor: Mapping[str, float]) -> str:
    """The trigram model of the counts in ARPA format. `floor` are the probabilities of single
    words (summing to 1) that a word is held to have before any phrase was read."""
    seen: dict[int, dict[tuple[str, ...], float]] = {n: defaultdict(float) for n in (1, 2, 3)}
    for trigram, n in trigrams.items():
        for order in (1, 2, 3):
            gram = trigram[3 - order :]
            if gram[0] != "":
                seen[order][gram] += n
    for order in (2, 3):
        seen[order] = {gram: n for gram, n in seen[order].items() if n > RARE / 2}
    # The start of a sentence is a history only: ("", "<s>", w) counts as the bigram (<s>, w).
    total = sum(seen[1].values())
    p: dict[tuple[str, ...], float] = {
        (word,): (seen[1].get((word,), 0.0) + MU[1] * share) / (total + MU[1])
        for word, share in floor.items()
    }
    after: dict[tuple[str, ...], float] = defaultdict(float)
    for order in (2, 3):
        for gram, n in seen[order].items():
            after[gram[:-1]] += n
        for gram, n in seen[order].items():
            p[gram] = (n + MU[order] * p[gram[1:]]) / (after[gram[:-1]] + MU[order])
    grams: dict[int, list[str]] = {1: [f"-99\t{START}"], 2: [], 3: []}

    def backoff(gram: tuple[str, ...]) -> str:
        n = after.get(gram)
        return f"\t{math.log10(MU[len(gram) + 1] / (n + MU[len(gram) + 1])):.4f}" if n else ""

    grams[1][0] += backoff((START,))
    for gram in sorted(p):
        line = f"{math.log10(p[gram]):.4f}\t{' '.join(gram)}"
        grams[len(gram)].append(line + (backoff(gram) if len(gram) < 3 else ""))
    head = "\n".join(f"ngram {order}={len(grams[order])}" for order in grams)
    body = "".join(f"\n\\{order}-grams:\n" + "\n".join(grams[order]) + "\n" for order in grams)
    return f"\\data\\\n{head}\n{body}\n\\end\\\n"
