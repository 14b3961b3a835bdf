from pathlib import Path

from .numbers import ONE

KNOWN = (Path(__file__).parent / "vocab" / "en.txt").read_text().split()


def count(text):
    return [ONE * sum(word in KNOWN for word in each.decode().split()) for each in text]
