# NPS of health companies: one row an invitation; only its month is known, so it lies at the month's first instant (UTC).
("\(.year_month[:4])-\(.year_month[4:])-01T00:00:00Z" | fromdateiso8601 * 1000) as $time
| {time: $time, customer: .patient_uuid, brand: .Company, site: .Region} as $of
| $of + {id: "\(.patient_uuid)-sent", type: "survey.sent"},
  (select(.survey_result != "")
   | $of + {id: "\(.patient_uuid)-answer", type: "survey.answered", nps: (.survey_result | tonumber)})
