"""The roster: who is eligible when, in which team and site."""
from bisect import bisect_right


class Roster:
    def __init__(self, events):
        by = {}
        for e in events:
            if e.type in ("agent.enrolled", "agent.removed") and "agent" in e.dims:
                by.setdefault((e.tenant, e.dims["agent"]), []).append(e)
        self.agents = {}        # (tenant, agent) -> (times, entries); entry = (event, eligible before, eligible, dims)
        for k, evs in by.items():
            evs.sort(key=lambda e: e.order())
            entries, entry, eligible = [], {}, False
            for e in evs:
                before = eligible
                if e.type == "agent.enrolled":
                    entry = {d: e.dims[d] for d in ("team", "site") if d in e.dims}
                    eligible = True
                else:
                    eligible = False
                entries.append((e, before, eligible, entry))
            self.agents[k] = ([e.time for e in evs], entries)

    def lookup(self, tenant, agent, time):
        """The entry in force: team and site at `time`, else those of the first event after."""
        a = self.agents.get((tenant, agent))
        if a is None:
            return {}
        i = bisect_right(a[0], time)
        return a[1][i - 1 if i else 0][3]

    def fill(self, tenant, dims, time):
        """Add the missing team and site of an event that stands alone (changes dims)."""
        agent = dims.get("agent")
        if agent is not None:
            entry = self.lookup(tenant, agent, time)
            for d in ("team", "site"):
                if d not in dims and d in entry:
                    dims[d] = entry[d]
        return dims

    def own_else(self, tenant, named, time, inter):
        """Dimensions of an event or segment inside an interaction: its own, else the interaction's."""
        out = dict(inter)
        out.update(named)
        agent = named.get("agent")
        if agent is not None:
            entry = self.lookup(tenant, agent, time)
            same = inter.get("agent") in (None, agent)
            for d in ("team", "site"):
                if d in named:
                    continue
                if d in entry:
                    out[d] = entry[d]
                elif not same:
                    out.pop(d, None)
        return out

    def changes(self):
        """(event, 'agents_joined' or 'agents_left') of each change of eligibility."""
        for times, entries in self.agents.values():
            for e, before, after, _ in entries:
                if before != after:
                    yield e, "agents_joined" if after else "agents_left"

    def eligible(self, before):
        """(tenant, dims) of each agent eligible by the roster events before the instant."""
        for (tenant, agent), (times, entries) in self.agents.items():
            i = bisect_right(times, before - 1)
            if i and entries[i - 1][2]:
                yield tenant, dict(entries[i - 1][3], agent=agent)
