# Restaurant bookings by telephone: one row a call, with the moment it was offered and answered (taken as UTC), but not its end,
# so the conversation stays open and has no handle time. A booking is a conversion whose value is the number of covers.
def ms: fromdateiso8601 * 1000;

"\(."Call ID")" as $id
| {interaction: $id, channel: "voice", brand: ."Restaurant ID"} as $call
| ("\(."Call Date")T\(."Call Time")Z" | ms) as $offered
| if ."Time Answered" == "" then
    $call + {id: $id, type: "interaction.completed", time: $offered, offered_at: $offered, abandoned: true}
  else
    ("\(."Call Date")T\(."Time Answered")Z" | ms) as $at
    | (if $at < $offered then $at + 86400000 else $at end) as $answered # past midnight
    | $call + {id: "\($id)-offered", type: "interaction.offered", time: $offered},
      ($call + {agent: ."Agent ID"}
       | . + {id: "\($id)-answered", type: "interaction.answered", time: $answered}),
      (select(."Call Outcome" == "Booking completed")
       | {id: "\($id)-booking", type: "conversion.made", time: $answered, interaction: $id, value: (."Covers Booked" | tonumber)})
  end
