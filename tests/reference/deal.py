#!/usr/bin/env python3
"""deal.py --seed N FEED: deals the lines of a feed to one file, to two, to three and to four. Every line is somewhere, some are there
again, in the same file or another; a file is in any order, in the feed's, backwards, or empty. Prints four lines: the files' names,
in any order."""
import argparse
import random


def deal(rng, lines, count):
    again = rng.choice([0, 0.1, 0.5, 2])  # further copies of a line, on average
    files = [[] for _ in range(count)]
    weights = [rng.choice([0, 1, 1, 5]) for _ in files]
    weights[rng.randrange(count)] = 1
    for line in lines:
        for _ in range(1 + int(again * 2 * rng.random() + rng.random() * (again > 0) * 0.5)):
            rng.choices(files, weights)[0].append(line)
    for file in files:
        rng.choice([rng.shuffle, rng.shuffle, list.reverse, len])(file)  # len leaves it as it is
    return files


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--seed", required=True)
    p.add_argument("feed")
    a = p.parse_args()
    rng = random.Random("deal " + a.seed)
    with open(a.feed, "rb") as file:
        lines = [line for line in file.read().split(b"\n") if line]
    for count in range(1, 5):
        names = ["dealt-%d-of-%d" % (i + 1, count) for i in range(count)]
        for name, part in zip(names, deal(rng, lines, count)):
            with open(name, "wb") as file:
                file.write(b"".join(line + b"\n" for line in part))
        rng.shuffle(names)
        print(" ".join(names))


if __name__ == "__main__":
    main()
