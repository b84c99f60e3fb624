package lemma.high_quarantine_test

import data.high.settings
import data.lemma.fixtures_test as fixtures
import data.lemma.high

decision(request) := result if {
	result := high.decision with input as request with data.lemma.high.settings as settings
}

after(change) := decision(object.union(fixtures.proven("high"), change))

tainted(method) := after({
	"request": {"method": method},
	"runtime": {"id": "mail-bot", "taint_epoch": 1},
	"proof": {"taint_epoch": 1},
})

test_allows_reading_in_quarantine if tainted("GET") == fixtures.allowed

test_denies_writing_in_quarantine if tainted("POST") == fixtures.denied(["x_quarantined"])

test_allows_writing_up_to_the_released_epoch if after({"request": {"method": "POST"}}) == fixtures.allowed

test_denies_writing_after_the_next_taint if {
	change := {"request": {"method": "POST"}, "runtime": {"taint_epoch": 4}, "proof": {"taint_epoch": 4}}
	after(change) == fixtures.denied(["x_quarantined"])
}

test_allows_writing_without_taint if {
	change := {"request": {"method": "POST"}, "runtime": {"id": "new-bot", "taint_epoch": 0}, "proof": {"taint_epoch": 0}}
	after(change) == fixtures.allowed
}

test_denies_without_its_data if {
	high.decision.reasons == ["x_quarantined"] with input as object.union(fixtures.proven("high"), {"request": {"method": "POST"}})
		with data.lemma.high.settings as object.remove(settings, ["quarantine"])
}
