# Real World Fake Data: one row a contact, with its date only (taken as UTC midnight) and its length. Scores run from 1 to 10: two
# of them make one step of csat (1-2 are 1, 9-10 are 5), so that none is clamped.
(.call_timestamp | split("/") | "\(.[2])-\(.[0])-\(.[1])T00:00:00Z" | fromdateiso8601 * 1000) as $time
| {time: $time, interaction: .id, channel, reason, site: .call_center} as $of
| $of + {id: .id, type: "interaction.completed", talk_ms: (."call duration in minutes" | tonumber * 60000)},
  (select(.csat_score != "")
   | $of + {id: "\(.id)-score", type: "survey.answered", csat: ((.csat_score | tonumber) as $s
     | if $s >= 1 and $s <= 10 then ($s + 1) / 2 | floor else error("a score outside 1 to 10") end)})
