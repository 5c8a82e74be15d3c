"""The phrases of builtin/phrases.txt as a language model: text with slots in, ARPA text out.

The engine only reads the file's sounds; the rest is for scripts/bias, which makes the model.

Nothing is sampled: a slot passes on the probability of all its alternatives at once, so a phrase
with "<number>" in it counts every number a little. The smoothing is the hierarchical Dirichlet of
MacKay and Peto (1995), p(w | h) = (n(h, w) + m q(w | h)) / (n(h) + m), which takes such fractions
of counts. q is what the general model says of w after h, so that a sentence may leave the phrases
and come back. N-grams that would hardly be missed are left out.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Protocol

START, END = "<s>", "</s>"
COMMON = 8000
"""How many of the general model's likeliest words are kept beside those of the phrases."""
RARE = 0.01
"""A history or n-gram expected less often than this in all phrases is shortened or left out."""
GENERAL = 0.3
"""What the general model counts after each history, as a share of the phrases' count ..."""
PRIOR = {2: 3.0, 3: 1.0}
"""... and, by order, in phrases whatever their count."""
WORTH = {2: 2e-6, 3: 4e-6}
"""A general n-gram is kept where p(n-gram) ln(p / its backed-off p) is above this, by order."""
FULL = 0.98
"""The most that the listed words of a history may take together: the rest backs off."""

Gram = tuple[str, ...]
Model = dict[Gram, float]
Alternatives = tuple[tuple[str, ...], ...]


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


def counts(phrases: Phrases, known: Iterable[str]) -> Model:
    """How often each trigram is expected; phrases and alternatives with an unknown word are left
    out, for the decoder would drop the word in silence."""
    known = frozenset(known)
    slots: dict[str, Alternatives] = {}
    for name, alternatives in phrases.slots.items():
        slots[name] = tuple(
            a for a in alternatives if all(t in known or t in phrases.slots for t in a)
        )
    found: Model = defaultdict(float)

    def shortened(histories: Mapping[tuple[str, str], float]) -> dict[tuple[str, str], float]:
        """One word is history enough where two are rare; else every pair of things would be."""
        kept: dict[tuple[str, str], float] = defaultdict(float)
        for (first, second), weight in histories.items():
            kept[first if weight >= 2 * RARE else "", second] += weight
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


class General(Protocol):
    """What the phrases are mixed with: p(word | one or two words before it, oldest first)."""

    def __call__(self, word: str, *history: str) -> float: ...


def mixture(trigrams: Mapping[Gram, float], general: General, words: Sequence[str]) -> Model:
    """The probability of each n-gram kept: of its last word after those before it. `words` are
    all words that may be heard; a history's remaining probability is for backing off."""
    words = [*words, END]
    n = {order: _counted(trigrams, order) for order in (1, 2, 3)}
    whole, likely = sum(n[1].values()), {word: general(word) for word in words}
    known = sum(likely.values())
    p: Model = {(w,): (n[1].get((w,), 0.0) / whole + likely[w] / known) / 2 for w in words}
    for order in (2, 3):
        total = _by_history(n[order])
        heard = {gram for gram, count in n[order].items() if count > RARE}
        found: Model = {}
        for gram in sorted(heard | _worth_keeping(order, p, general, words)):
            prior = PRIOR[order] + GENERAL * total[gram[:-1]]
            count = n[order].get(gram, 0.0) + prior * general(gram[-1], *gram[:-1])
            found[gram] = count / (total[gram[:-1]] + prior)
        taken = _by_history(found)
        p |= {gram: q * min(1.0, FULL / taken[gram[:-1]]) for gram, q in found.items()}
    return p


def _counted(trigrams: Mapping[Gram, float], order: int) -> Model:
    """The counts of a lower order. What stands before the start of a sentence is no history."""
    found: Model = defaultdict(float)
    for trigram, n in trigrams.items():
        if gram := trigram[3 - order :] if trigram[3 - order] else ():
            found[gram] += n
    return found


def _by_history(values: Mapping[Gram, float]) -> Model:
    sums: Model = defaultdict(float)
    for gram, value in values.items():
        sums[gram[:-1]] += value
    return sums


def _worth_keeping(order: int, p: Model, general: General, words: Sequence[str]) -> set[Gram]:
    """The n-grams of the general model that are likely here and that backing off would lose."""
    after: dict[str, list[str]] = defaultdict(list)
    for gram in p:
        if len(gram) == 2:
            after[gram[0]].append(gram[1])
    starts: Model = {g: p[g] for g in p if len(g) == 1 and g[0] != END}
    starts[START,] = p[END,]
    if order == 3:
        starts = {g: starts[g[:1]] * p[g] for g in p if len(g) == 2 and g[1] != END}
    kept = set()
    for history, mass in starts.items():
        if mass < WORTH[order]:
            continue
        for word in words if order == 2 else after[history[-1]]:
            q, backed_off = general(word, *history), p[(*history[1:], word)]
            if q > backed_off and mass * q * math.log(q / backed_off) > WORTH[order]:
                kept.add((*history, word))
    return kept


def arpa(p: Model, title: str = "") -> str:
    """The model in ARPA format, with the backoff weights that make each history sum to 1."""
    taken = _by_history(p)
    lower = _by_history({gram: p[gram[1:]] for gram in p if len(gram) > 1})

    def line(gram: Gram, log: float) -> str:
        weight = (1 - taken[gram]) / max(1e-3, 1 - lower[gram]) if gram in taken else 1.0
        backoff = f"\t{math.log10(weight):.3f}" if len(gram) < 3 and weight != 1 else ""
        return f"{log:.3f}\t{' '.join(gram)}{backoff}"

    grams: dict[int, list[str]] = {1: [line((START,), -99)], 2: [], 3: []}
    for gram in sorted(p):
        grams[len(gram)].append(line(gram, math.log10(p[gram])))
    head = "".join(f"ngram {order}={len(lines)}\n" for order, lines in grams.items())
    body = "".join(f"\n\\{order}-grams:\n" + "\n".join(g) + "\n" for order, g in grams.items())
    return f"{title}\n\\data\\\n{head}{body}\n\\end\\\n"
