"""Whether runs cut text into the same tokens: by their vocabularies, tokenizers and base models, as far as the logs tell."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from curvelab.comparing.choice import Choice
from curvelab.comparing.entrants import Entrant
from curvelab.comparing.identity import model, tokenizer
from curvelab.comparing.kinds import CLASSES, fair_metric, kind_of
from curvelab.comparing.splitting import by_key, known, split
from curvelab.model.verdicts import Refusal

PER_TOKEN = "a loss per token of one tokenizer cannot be held against that of another"
PADDING, PADDING_SHARE = 127, 0.01  # tokens by which one vocabulary may be larger for padding (to multiples of 128) and added tokens


def vocabularies(entrants: Sequence[Entrant], choice: Choice) -> Iterator[Refusal]:
    """Losses per token of other tokenizers are of other units: the same text is cut into other numbers of tokens."""
    of_tokens = [one for one in entrants if kind_of(one) != CLASSES]
    sizes = by_key(of_tokens, _size(of_tokens))
    kinds = by_key(of_tokens, lambda one: known(one, "model_type"))
    why = PER_TOKEN
    if len({key for key in sizes if key is not None}) > 1:
        told = {f"vocabulary of {key}": runs for key, runs in sizes.items() if key is not None}
        yield split("other-vocabulary", why, told, fair_metric(entrants, bits=True), of_tokens)
    elif None in sizes and len({key for key in kinds if key is not None}) > 1:
        told = {f"{key}": runs for key, runs in kinds.items() if key is not None}
        yield split("other-vocabulary", f"{why}, and not every log tells its vocabulary", told, fair_metric(entrants, bits=True), of_tokens)


def tokenizers(entrants: Sequence[Entrant], choice: Choice) -> Iterator[Refusal]:
    of_tokens = [one for one in entrants if kind_of(one) != CLASSES]
    groups = by_key(of_tokens, tokenizer)
    if len({key for key in groups if key is not None}) > 1:
        told = {f"tokenizer {key}": runs for key, runs in groups.items() if key is not None}
        yield split("other-vocabulary", PER_TOKEN, told, fair_metric(entrants, bits=True), of_tokens)


def models(entrants: Sequence[Entrant], choice: Choice) -> Iterator[Refusal]:
    """Other base models, where no log says that they cut text alike."""
    of_tokens = [one for one in entrants if kind_of(one) != CLASSES]
    unclear = [one for one in of_tokens if known(one, "vocab_size") is None and tokenizer(one) is None]
    groups = by_key(of_tokens, model)
    if unclear and len({key for key in groups if key is not None}) > 1:
        told = {f"{key}": runs for key, runs in groups.items() if key is not None}
        fair = f"{fair_metric(entrants, bits=True)}; where they share a tokenizer, tell tokenizer_name or vocab_size"
        why = f"other base models may cut text into other tokens, and not every log tells its vocabulary; {PER_TOKEN}"
        yield split("other-vocabulary", why, told, fair, of_tokens)


def padded(entrants: Sequence[Entrant]) -> list[str]:
    """Sizes of vocabularies that differ and are taken to be one; empty where they are the same."""
    sizes = dict.fromkeys(size for one in entrants if (size := known(one, "vocab_size")) is not None)
    return sorted(sizes, key=lambda size: (len(size), size)) if len(sizes) > 1 else []


def _size(entrants: Sequence[Entrant]) -> Callable[[Entrant], str | None]:
    """The vocabulary of a run by its size; that of one model type is the same where padding explains the difference."""
    least: dict[tuple[str | None, int], int] = {}
    for kind, mine in by_key(entrants, lambda one: known(one, "model_type")).items():
        first = 0
        for size in sorted({size for one in mine if (size := _number(one)) is not None}):
            first = first if first and size - first <= min(PADDING, PADDING_SHARE * first) else size
            least[kind, size] = first

    def of(one: Entrant) -> str | None:
        size = _number(one)
        return known(one, "vocab_size") if size is None else str(least[known(one, "model_type"), size])

    return of


def _number(one: Entrant) -> int | None:
    size = one.facts.setting("vocab_size")
    return int(size) if isinstance(size, int | float) and not isinstance(size, bool) and size >= 1 else None
