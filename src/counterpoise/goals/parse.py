"""The language of goals.

    f1   f2   f0.5   balanced_accuracy   g_mean   mcc   macro_f1   average_precision   roc_auc
    recall where precision >= 0.5        precision where recall >= 90% and alerts <= 200 per 10000
    recall of fraud where precision of fraud >= 0.5 and fpr of 'very bad' <= 1%
    cost fn=500 fp=10 tp=20              cost fn=amount fp=10 where alerts <= 5%
    cost from costs.csv                  cost good as bad=1 bad as good=5
    precision >= 0.9 and recall >= 0.8   recall where precision >= 0.9 with review <= 5%

    goal        [objective] {("where" | "and") constraint} ["with" "review" "<=" bound]
    objective   name ["of" class]  |  "cost" costs
    costs       "from" file  |  {outcome "=" (number | column)}  |  {class "as" class "=" number}
    constraint  rate ["of" class] (">=" | "<=") bound
    bound       number ["%" | "per" number]

Classes, columns and files are words, in quotes where they hold blanks or signs, or are a word of the language; the
language itself knows no capitals. Without an objective the constraints alone make the goal.
"""

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from counterpoise.errors import UserError, nearest_name
from counterpoise.goals.constraint import LARGER_IS_BETTER, RATES, Constraint
from counterpoise.goals.cost import OUTCOMES, Cost
from counterpoise.goals.cost_matrix import CostMatrix
from counterpoise.goals.goal import F_BETA, OBJECTIVES, REVIEW, Goal, refuse_contradiction
from counterpoise.goals.synonyms import unknown_measure
from counterpoise.goals.words import RESERVED, Word, is_name, words_of

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)


def goal(text: str | Goal) -> Goal:
    """Read a goal, such as "recall where precision >= 0.5".

    Parameters
    ----------
    text
        The text of a goal, in the language of docs/goals.md. A `Goal` is returned as it is.

    Raises
    ------
    UserError
        A `ValueError` that says what is wrong, at which character, and which known word is nearest.

    Examples
    --------
    >>> found = goal("recall where alerts <= 200 per 10000")
    >>> found.objective, found.constraints
    ('recall', (Constraint(rate='alerts', bound=0.02, of=None),))
    >>> goal("recal where precision >= 0.5")
    Traceback (most recent call last):
    ...
    counterpoise.errors.UserError: goal 'recal where precision >= 0.5', character 1: unknown goal 'recal'; \
did you mean 'recall'? known: average_precision, roc_auc, balanced_accuracy, g_mean, mcc, macro_f1, precision, \
recall, specificity, fpr, alerts, f1, f2, f0.5, cost
    """
    if isinstance(text, Goal):
        return text
    if not isinstance(text, str):
        raise UserError(f"a goal is text, such as 'recall where precision >= 0.5', not {text!r}")
    return _Parser(text).goal()


class _Parser:
    """One pass over the words of a goal; every complaint carries the place of its word."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.words = [*words_of(text), Word("", len(text.rstrip()) + 1, "end")]
        self.at = 0
        for word in self.words:
            if word.kind == "open":
                self.complain(f"the quote {word.text} is not closed", word)

    def goal(self) -> Goal:
        first = self.next
        objective, of, costs = self.objective()
        if self.next.kind == "sign":  # what was read is the rate of a bound
            objective, of, self.at = REVIEW, None, 0
        constraints: tuple[Constraint, ...] = ()
        while self.next.kind != "end" and self.next.lower != "with":
            if constraints or objective != REVIEW:
                self.expect("and" if constraints else "where", or_else=" or 'with'")
            rate = self.next
            added = self.constraint()
            with self.blaming(rate):
                refuse_contradiction(added, constraints, objective, of, costs)
            constraints = (*constraints, added)
        review = None if self.next.kind == "end" else self.review()
        with self.blaming(first):
            return Goal(objective, constraints, costs, of, review)

    def objective(self) -> tuple[str, str | None, Cost | CostMatrix | None]:
        word = self.take("the name of a goal, such as f1 or recall")
        name = word.lower
        if name == "cost":
            return name, None, self.costs()
        if name == "f_beta":
            self.complain("f_beta stands for f1, f2, f0.5 and so on; write the number", word)
        if name not in OBJECTIVES and not F_BETA.fullmatch(name):
            self.complain(unknown_measure("goal", word.text, OBJECTIVES), word)
        return name, self.of(), None

    def costs(self) -> Cost | CostMatrix:
        if self.next.lower == "from":
            self.at += 1
            path = self.take("the name of a CSV file")
            with self.blaming(path):
                return CostMatrix.read(path.text)
        of_classes = any(word.lower == "as" for word in self.words[self.at + 1 : self.at + 2])
        return self.costs_of_classes() if of_classes else self.costs_of_outcomes()

    def costs_of_outcomes(self) -> Cost:
        found: dict[str, float | str] = {}
        for word in self.listed():
            name = word.lower
            if name not in OUTCOMES:
                self.complain(nearest_name("outcome", word.text, OUTCOMES), word)
            if name in found:
                self.complain(f"{name!r} is given twice", word)
            self.expect("=")
            found[name] = self.cost_or_column()
        missing = [name for name in ("fn", "fp") if name not in found]
        if missing:
            self.complain(f"the cost of {' and '.join(missing)} is missing; write cost fn=500 fp=10", self.next)
        with self.blaming(self.next):
            return Cost(**found)

    def costs_of_classes(self) -> CostMatrix:
        found: dict[tuple[str, str], float] = {}
        for word in self.listed():
            true = self.class_name(word)
            self.expect("as")
            chosen = self.class_name(self.take("the name of a class"))
            if (true, chosen) in found:
                self.complain(f"the cost of {true} as {chosen} is given twice", word)
            self.expect("=")
            found[true, chosen] = self.number(self.take("a number"))
        with self.blaming(self.next):
            return CostMatrix.from_cells(found)

    def listed(self) -> Iterator[Word]:
        """The first words of a list's items, which a comma may part, up to the constraints."""
        while self.next.kind != "end" and self.next.lower not in ("where", "with"):
            word = self.take("a cost")
            if word.text != ",":
                yield word

    def constraint(self) -> Constraint:
        word = self.take("a rate, such as precision")
        rate = word.lower
        if rate == REVIEW:
            self.complain("the rows left to a person are bounded at the end, as in 'with review <= 5%'", word)
        if rate not in RATES:
            self.complain(unknown_measure("rate", word.text, RATES), word)
        of = self.of()
        return Constraint(rate, self.bound(rate), of)

    def review(self) -> float:
        self.expect("with")
        self.expect(REVIEW)
        share = self.bound(REVIEW)
        if self.next.kind != "end":
            self.complain(f"found {self.next.text!r} where the end should be: review is bounded last", self.next)
        return share

    def bound(self, rate: str) -> float:
        sign = self.take("'>=' or '<='")
        right = ">=" if rate in LARGER_IS_BETTER else "<="
        if {"≥": ">=", "≤": "<="}.get(sign.text, sign.text) != right:
            self.complain(f"found {sign.text!r}; {rate} is bounded with {right!r}", sign)
        word = self.take("a number")
        said, whole = word.text, 1.0
        if self.next.text == "%":
            self.at += 1
            said, whole = f"{said}%", 100.0
        elif self.next.lower == "per":
            self.at += 1
            rows = self.take("a number of rows")
            said, whole = f"{said} per {rows.text}", self.number(rows)
            if whole <= 0:
                self.complain(f"found {rows.text} rows; write a number above 0", rows)
        share = self.number(word) / whole
        if not 0 <= share <= 1:
            self.complain(
                f"{rate} lies between 0 and 1 (or 0% and 100%), not at {said}; "
                "a number of rows is written 200 per 10000",
                word,
            )
        return share

    def of(self) -> str | None:
        if self.next.lower != "of":
            return None
        self.at += 1
        return self.class_name(self.take("the name of a class"))

    def class_name(self, word: Word) -> str:
        if word.kind == "sign" or word.lower in RESERVED:
            self.complain(f"found {word.text!r} where the name of a class should be; quote it if it is one", word)
        return word.text

    def cost_or_column(self) -> float | str:
        word = self.take("a number or a column")
        if word.kind == "quoted" or is_name(word.text):
            return word.text
        if word.kind == "bare" and not _NUMBER.fullmatch(word.text):
            self.complain(f"{word.text!r} is not a number; a column of that name goes in quotes", word)
        return self.number(word)

    def number(self, word: Word) -> float:
        if word.kind != "bare" or not _NUMBER.fullmatch(word.text) or not math.isfinite(float(word.text)):
            self.complain(f"{word.text!r} is not a number", word)
        return float(word.text)

    @property
    def next(self) -> Word:
        return self.words[self.at]

    def take(self, expected: str) -> Word:
        word = self.next
        if word.kind == "end":
            self.complain(f"{expected} is missing", word)
        self.at += 1
        return word

    def expect(self, word: str, *, or_else: str = "") -> None:
        found = self.take(repr(word))
        if found.lower != word:
            self.complain(f"found {found.text!r} where {word!r}{or_else} should be", found)

    @contextmanager
    def blaming(self, word: Word) -> Iterator[None]:
        """Put the place of `word` to what is wrong with the parts of a goal."""
        try:
            yield
        except UserError as error:
            self.complain(error, word)

    def complain(self, what: object, word: Word) -> NoReturn:
        raise UserError(f"goal {self.text!r}, character {word.place}: {what}") from None
