package lemma.high_business_hours_test

import data.high.settings
import data.lemma.fixtures_test as fixtures
import data.lemma.high

decision(request) := result if {
	result := high.decision with input as request with data.lemma.high.settings as settings
}

after(change) := decision(object.union(fixtures.proven("high"), change))

# Monday, 2026-09-21, 16:13 in Berlin, where summer time is.
sending_at(now) := object.union(fixtures.proven("high"), {"now": now, "route": {"action": "invoices.send"}, "freshness": {"age_ms": 0}, "proof": {"links": [{"type": "runtime", "issued_at": floor(now / 1000)}]}})

monday := 1790000000000

hour := 3600000

test_allows_in_office_hours if decision(sending_at(monday)) == fixtures.allowed

test_denies_at_night if {
	decision(sending_at(monday + (8 * hour))) == fixtures.denied(["x_office_closed"])
}

test_denies_at_the_weekend if {
	decision(sending_at(monday - (48 * hour))) == fixtures.denied(["x_office_closed"])
}

# 17:45 UTC is 19:45 in summer and 18:45 in winter: closed. 16:30 UTC is closed in summer and open in winter.
test_follows_summer_time if {
	half_past_four := monday - ((monday % (24 * hour)) - (16.5 * hour))
	decision(sending_at(half_past_four)) == fixtures.denied(["x_office_closed"])
	decision(sending_at(half_past_four + (((7 * 8) * 24) * hour))) == fixtures.allowed
}

test_allows_other_actions_at_night if {
	request := object.union(sending_at(monday + (8 * hour)), {"route": {"action": "documents.read"}})
	decision(request) == fixtures.allowed
}

test_denies_without_its_data if {
	high.decision.reasons == ["x_office_closed"] with input as sending_at(monday)
		with data.lemma.high.settings as object.remove(settings, ["hours"])
}
