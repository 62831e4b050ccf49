"""planted.py WORK NAME COMMAND...: a day whose truth is known, because it was planted. 1,000 agents in 50 teams, 50 contacts
each, in which 5 to 10 times the program could have helped. From team to team 15 % to 85 % of the agents use it at all, those
use it in 30 % to 90 % of the opportunities, and it lifts CSAT by 5 to 25 points.

The generator keeps a ledger of its own while it writes the feed: what a team must be told is counted there and never read
back from events. Rows print six decimals, so a figure is rounded likewise before it must agree to 1e-9. Teams are known by
the roster alone: contacts and opportunities name their agent or nobody. COMMAND computes (esteem compute, or the reference),
NAME says which it is."""
import json
import math
import os
import random
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
SEED, TEAMS, AGENTS, CONTACTS = 20261122, 50, 20, 50  # AGENTS a team, CONTACTS an agent
DAY = 1795305600000                                   # 2026-11-22T00:00:00Z
BASE = 0.60                                           # satisfied customers where the moment was missed
RATE = 0.15                                           # opportunity.assumed_rate
CONFIG = "windows: {rolling: [], calendar: [day]}\nscopes: [[], [team], [agent]]\nmetrics: {min_n: 1}\n"
with open(os.path.join(HERE, "..", "include", "esteem", "metrics.def"), encoding="utf-8") as table:
    KNOWN = set(re.findall(r"^METRIC\((\w+),", table.read(), re.M))
if sys.argv[2] == "reference":
    KNOWN |= {"csat_lift"}  # it was written from SEMANTICS and has them all


class Truth:
    """What the ledger of a team (or an agent, or all) says."""

    def __init__(self):
        self.count = dict.fromkeys(("closed", "opportunities", "uses", "used_contacts", "missed_contacts", "csat_n", "csat_top",
                                    "csat_used_n", "csat_used_top", "csat_missed_n", "csat_missed_top", "use_cost"), 0)
        self.eligible, self.active = set(), set()


def generate(rng):
    """-> lines of the feed, {key: Truth}, {team: (adoption, effect)} as planted."""
    lines, truth, planted = [], {"all": Truth()}, {}

    def put(typ, second, **fields):
        lines.append(json.dumps({"id": "p%d" % len(lines), "type": typ, "time": DAY + second * 1000, **fields}))

    for t in range(TEAMS):
        team = "team%02d" % t
        adopters = round(AGENTS * (0.15 + 0.70 * t / (TEAMS - 1)))
        usage, effect = 0.3 + 0.6 * rng.random(), 0.05 + 0.20 * rng.random()
        planted[team] = adopters / AGENTS, effect
        truth[team] = Truth()
        for a in range(AGENTS):
            agent = "a%02d-%02d" % (t, a)
            truth[agent] = Truth()
            told = [truth[key] for key in ("all", team, agent)]
            put("agent.enrolled", -86400, agent=agent, team=team, site="site%d" % (t % 5))
            for one in told:
                one.eligible.add(agent)
            chances = [0] * CONTACTS  # opportunities of each contact: some have two
            for _ in range(rng.randint(5, 10)):
                chances[rng.randrange(CONTACTS)] += 1
            must_use = rng.choice([i for i, n in enumerate(chances) if n]) if a < adopters else None
            for i, n in enumerate(chances):
                uses = sum(rng.random() < usage for _ in range(n)) if a < adopters else 0
                uses = max(uses, 1) if i == must_use else uses
                one_contact(rng, put, told, agent, "%s-%d" % (agent, i), n, uses, effect)
    rng.shuffle(lines)
    return lines, truth, planted


def one_contact(rng, put, told, agent, name, chances, uses, effect):
    begun = rng.randint(0, 80000)
    ended = begun + rng.randint(30, 900)
    put("interaction.answered", begun, interaction=name, agent=agent)
    put("interaction.ended", ended, interaction=name)
    for n in range(chances):
        put("opportunity.seen", begun + n, interaction=name)
        if n < uses:
            put("program.used", begun + n, interaction=name, agent=agent, cost=cost_of(begun))
    csat = None
    if rng.random() < (0.9 if chances else 0.1):
        csat = rng.randint(4, 5) if rng.random() < BASE + (effect if uses else 0) else rng.randint(1, 3)
        put("survey.answered", ended + rng.randint(1, 4000), interaction=name, csat=csat)
    for one in told:
        add(one, agent, chances, uses, csat)
        one.count["use_cost"] += uses * cost_of(begun)


def cost_of(begun):
    return 100 + begun % 50


def add(one, agent, chances, uses, csat):
    count = one.count
    count["closed"] += 1
    count["opportunities"] += chances
    count["uses"] += uses
    kind = "used" if uses else "missed" if chances else None
    if uses:
        one.active.add(agent)
    if kind:
        count[kind + "_contacts"] += 1
    for group in ["csat"] + (["csat_" + kind] if kind else []) if csat else []:
        count[group + "_n"] += 1
        count[group + "_top"] += csat >= 4


# ---- what must come of it ----

def wilson(k, n, z=1.959964):
    middle, half = k + z * z / 2, z * math.sqrt(k * (n - k) / n + z * z / 4)
    return (middle - half) / (n + z * z), (middle + half) / (n + z * z)


def newcombe(count):
    """-> lift, low, high in points; None where a group is empty."""
    k1, n1, k2, n2 = (count[name] for name in ("csat_used_top", "csat_used_n", "csat_missed_top", "csat_missed_n"))
    if not n1 or not n2:
        return None
    (l1, u1), (l2, u2), d = wilson(k1, n1), wilson(k2, n2), k1 / n1 - k2 / n2
    return (100 * d, 100 * (d - math.hypot(k1 / n1 - l1, u2 - k2 / n2)), 100 * (d + math.hypot(u1 - k1 / n1, k2 / n2 - l2)))


def metrics_of(truth):
    """-> {(metric, part): value or None}, of the metrics that the program has."""
    count = truth.count
    want = {("opportunity_rate", "value"): 100 * count["opportunities"] / count["closed"],
            ("usage_rate", "value"): 100 * count["uses"] / count["opportunities"],
            ("usage_rate", "n"): count["opportunities"],
            ("expected_opportunities", "value"): count["closed"] * RATE,
            ("csat", "value"): 100 * count["csat_top"] / count["csat_n"] if count["csat_n"] else None}
    # csat_lift: SWITCHED ON when metrics.def has it. Until then its four integers are what is checked.
    if "csat_lift" in KNOWN:
        for part, value in zip(("value", "low", "high"), newcombe(count) or (None, None, None)):
            want["csat_lift", part] = value
    active, eligible = len(truth.active), len(truth.eligible)
    want["adoption", "value"], want["adoption", "n"] = 100 * active / eligible, eligible
    want["spend_per_agent", "value"] = count["use_cost"] / active if active else None
    want["spend_per_agent", "n"] = active or None
    return want


def wrong_of(row, truth):
    if row is None:
        return ["there is no row"]
    wrong = ["%s is %s, not %d" % (name, row["measures"].get(name, 0), want) for name, want in truth.count.items()
             if row["measures"].get(name, 0) != want]
    for (metric, part), want in metrics_of(truth).items():
        got = row["metrics"].get(metric, {}).get(part)
        if got is None or want is None:
            good = got is want
        else:
            good = abs(got - float("%.6f" % want)) <= 1e-9
        if not good:
            wrong.append("%s, %s: %s, not %s" % (metric, part, got, want))
    return wrong


def say(wrong, what):
    print("%s - %s: %s" % ("not ok" if wrong else "ok", sys.argv[2], what))
    for line in wrong[:20]:
        print("    " + line)


def main():
    work, command = sys.argv[1], sys.argv[3:]
    lines, truth, planted = generate(random.Random(SEED))
    paths = [os.path.join(work, name) for name in ("config.yaml", "feed.jsonl")]
    for path, text in zip(paths, (CONFIG, "\n".join(lines) + "\n")):
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
    run = subprocess.run([*command, "--config", *paths], stdout=subprocess.PIPE, text=True, check=True)
    rows = {}
    for row in map(json.loads, run.stdout.splitlines()):
        if row["start"] == "2026-11-22T00:00:00Z":
            rows[row["scope"].get("team", row["scope"].get("agent", "all"))] = row

    teams, agents = sorted(planted), [key for key in truth if key not in planted and key != "all"]
    every = truth["all"]
    say([] if (len(teams), len(agents), every.count["closed"]) == (50, 1000, 50000) and
        all(5 <= truth[agent].count["opportunities"] <= 10 for agent in agents) else ["another day"],
        "the day: 1,000 agents, 50 teams, 50,000 contacts, %d opportunities, %d uses" %
        (every.count["opportunities"], every.count["uses"]))
    say(sorted(set(rows) ^ set(truth)), "a row for each team and agent, and no other")
    say(wrong_of(rows.get("all"), every), "all: the figures are the ledger's")
    for team in teams:
        say(wrong_of(rows.get(team), truth[team]), "%s: the figures are the ledger's" % team)
    say(["%s: %s" % (agent, line) for agent in agents for line in wrong_of(rows.get(agent), truth[agent])],
        "each of 1,000 agents: the figures are the ledger's")

    # The plant itself. Adoption is exact by construction; whether the ledger's way to count agrees is seen here.
    say(["%s: %d of %d, not %.2f" % (team, len(truth[team].active), len(truth[team].eligible), planted[team][0]) for team in teams
         if len(truth[team].active) / len(truth[team].eligible) != planted[team][0]],
        "adoption from %.0f %% to %.0f %% by team, as planted" % (100 * planted[teams[0]][0], 100 * planted[teams[-1]][0]))
    # 95 % intervals hold the truth 47.5 times of 50; fewer than 43 times in one seed of a hundred.
    measured = {team: newcombe({name: rows.get(team, {"measures": {}})["measures"].get(name, 0) for name in truth[team].count})
                for team in teams}
    held = [team for team in teams if measured[team] and measured[team][1] <= 100 * planted[team][1] <= measured[team][2]]
    say([] if 43 <= len(held) else ["outside: " + ", ".join(sorted(set(teams) - set(held)))],
        "the planted effect on CSAT lies in the interval of %d teams of 50" % len(held))
    effect = sum(planted[team][1] * truth[team].count["csat_used_n"] for team in teams) / every.count["csat_used_n"]
    lift, low, high = newcombe({name: rows["all"]["measures"].get(name, 0) for name in every.count})
    say([] if 0 < low <= 100 * effect <= high else ["%.2f not in %.2f to %.2f" % (100 * effect, low, high)],
        "all together: lift %.1f, from %.1f to %.1f, holds the mean effect %.1f and not 0" % (lift, low, high, 100 * effect))


main()
