# The PwC telecom case study: one row a call. `date` and `time` (taken as UTC) are when the customer called; the wait and the
# talk follow from them. An unanswered call has no time of its end: only when it was offered is known.
def s: split(":") | map(tonumber) | .[0] * 3600 + .[1] * 60 + .[2];
def day: split("/") | "\(.[2])-\(.[1])-\(.[0])T00:00:00Z" | fromdateiso8601;

(((.date | day) + (.time | s)) * 1000) as $offered
| {id: .call_id, type: "interaction.completed", interaction: .call_id, channel: "voice", queue: .topic, agent, offered_at: $offered} as $call
| if ."answered (Y/N)" == "Y" then
    ($offered + (.speed_of_answer_in_seconds | tonumber) * 1000) as $answered
    | ($answered + (.AvgTalkDuration | s) * 1000) as $ended
    | $call + {time: $ended, answered_at: $answered, ended_at: $ended, resolved: (.resolved == "Y")},
      {id: "\(.call_id)-survey", type: "survey.answered", time: $ended, interaction: .call_id, csat: (.SatisfactionRating | tonumber)}
  elif ."answered (Y/N)" == "N" then
    $call + {time: $offered, abandoned: true} | del(.agent)
  else
    error("answered (Y/N) is neither Y nor N")
  end
