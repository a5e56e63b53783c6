"""A small encoder of English sentences: an embedding like that of a large one, and which motions a sentence speaks of.

A word is the sum of an entry of its own and of the pieces of its spelling, so that a word it never saw is near those
spelled like it.
"""

from __future__ import annotations

import os
import re
import unicodedata
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from animate3d.files import atomic_file, existing_file, read_json, write_json

LENGTH = 32
"""Words of a sentence that are read; the rest is cut off."""
EMBEDDING = 384
"""Values of a sentence's embedding, as many as its teacher's has."""
BUCKETS = 4096
"""Entries that the pieces of spelling share."""
WEIGHTS, WORDS = "reader.safetensors", "reader.json"
_SHORT = {"n't": " not", "cannot": "can not", "'s": " "}


def words_of(sentence: str) -> list[str]:
    """Lower-case words of a sentence without accents; "doesn't" is two words, and an owner's 's is none."""
    plain = unicodedata.normalize("NFKD", sentence.lower().replace("’", "'")).encode("ascii", "ignore").decode()
    for short, long in _SHORT.items():
        plain = plain.replace(short, long)
    return re.findall(r"[a-z]+|[0-9]+", plain)


@lru_cache(maxsize=1 << 17)
def pieces_of(word: str) -> tuple[int, ...]:
    """Entries, from 1, of the pieces of three to five letters of a word and its ends."""
    marked = f"<{word[:24]}>"
    spans = (marked[start : start + size] for size in (3, 4, 5) for start in range(max(len(marked) - size, 0) + 1))
    return tuple(dict.fromkeys(zlib.crc32(span.encode()) % BUCKETS + 1 for span in spans))


@dataclass(frozen=True)
class Tokens:
    """Sentences as the encoder takes them.

    Attributes:
        places: ``[N, S]`` which of the different words stands where; 0 where a sentence has ended.
        words: ``[U]`` entries of the different words; 0 for the end of a sentence and for unknown ones.
        pieces: ``[U, P]`` entries of their spelling; 0 for none.
    """

    places: Tensor
    words: Tensor
    pieces: Tensor


class SentenceEncoder(nn.Module):
    """Embeddings of sentences and which of the classes they speak of; words of the vocabulary have an entry each."""

    def __init__(self, vocabulary: Sequence[str], classes: Sequence[str], width: int = 128, layers: int = 2) -> None:
        super().__init__()
        self.vocabulary, self.classes = list(vocabulary), list(classes)
        self.width, self.layers = width, layers
        self._entries = {word: entry for entry, word in enumerate(vocabulary, 1)}
        self.words = nn.Embedding(len(vocabulary) + 1, width, padding_idx=0)
        self.pieces = nn.EmbeddingBag(BUCKETS + 1, width, mode="mean", padding_idx=0)
        self.places = nn.Parameter(0.02 * torch.randn(LENGTH, width))
        layer = nn.TransformerEncoderLayer(
            width, width // 32, 2 * width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.transformer = nn.TransformerEncoder(layer, layers, nn.LayerNorm(width), enable_nested_tensor=False)
        self.attention = nn.Linear(width, 1)
        self.embedding = nn.Linear(2 * width, EMBEDDING)
        self.motions = nn.Sequential(nn.LayerNorm(2 * width), nn.Linear(2 * width, len(classes)))
        for table in (self.words, self.pieces):
            nn.init.normal_(table.weight, std=0.3)
            nn.init.zeros_(table.weight[0])

    def tokens(self, sentences: Sequence[str]) -> Tokens:
        """Sentences as numbers; one without a word is a sentence of an empty word."""
        split = [words_of(sentence)[:LENGTH] or [""] for sentence in sentences]
        different = {word: place for place, word in enumerate(dict.fromkeys(w for words in split for w in words), 1)}
        places = [torch.tensor([different[word] for word in words]) for words in split]
        spelled = [torch.tensor((0,)), *(torch.tensor(pieces_of(word)) for word in different)]
        return Tokens(
            nn.utils.rnn.pad_sequence(places, batch_first=True),
            torch.tensor([0, *(self._entries.get(word, 0) for word in different)]),
            nn.utils.rnn.pad_sequence(spelled, batch_first=True),
        )

    def forward(self, tokens: Tokens, forget: float = 0.0) -> tuple[Tensor, Tensor]:
        """Embeddings of length 1 ``[N, 384]`` and logits of what the sentences speak of ``[N, classes]``.

        Args:
            forget: share of words that are read by their spelling only, as if they were unknown.
        """
        known = tokens.words * (torch.rand(len(tokens.words)) >= forget) if forget else tokens.words
        words = (self.words(known) + self.pieces(tokens.pieces))[tokens.places]
        ended = tokens.places == 0
        hidden = self.transformer(words + self.places[: words.shape[1]], src_key_padding_mask=ended)
        attention = self.attention(hidden).masked_fill(ended[..., None], -torch.inf).softmax(dim=1)
        mean = hidden.masked_fill(ended[..., None], 0).sum(dim=1) / (~ended).sum(dim=1, keepdim=True)
        pooled = torch.cat([(attention * hidden).sum(dim=1), mean], dim=-1)
        return nn.functional.normalize(self.embedding(pooled), dim=-1), self.motions(pooled)

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write ``reader.safetensors`` at half precision and ``reader.json`` with the words."""
        facts = {"width": self.width, "layers": self.layers, "classes": self.classes}
        write_json(Path(folder) / WORDS, {**facts, "vocabulary": " ".join(self.vocabulary)})
        with atomic_file(Path(folder) / WEIGHTS) as temporary:
            save_file({name: value.half().contiguous() for name, value in self.state_dict().items()}, temporary)

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> SentenceEncoder:
        """Read what `save` wrote.

        Raises:
            InputError: a file does not exist.
        """
        facts = read_json(existing_file(Path(folder) / WORDS, "words of the reader"))
        values = load_file(existing_file(Path(folder) / WEIGHTS, "weights of the reader"))
        with torch.random.fork_rng(devices=[]):  # its first values are overwritten: nobody's draws should change
            encoder = cls(facts["vocabulary"].split(), facts["classes"], facts["width"], facts["layers"])
        encoder.load_state_dict(values)
        return encoder.eval()
