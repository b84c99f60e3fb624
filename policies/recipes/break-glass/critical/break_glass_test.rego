package lemma.critical_break_glass_test

import data.critical.settings
import data.lemma.critical
import data.lemma.fixtures_test as fixtures

decision(request) := result if {
	result := critical.decision with input as request with data.lemma.critical.settings as settings
}

after(change) := decision(object.union(fixtures.proven("critical"), change))

restoring := {"route": {"action": "database.restore"}, "request": {"method": "POST"}}

broken(grant) := result if {
	grants := [object.union(
		{
			"runtime": "bot-1", "action": "database.restore", "reason": "INC-7",
			"from_ms": 1790000000000, "until_ms": 1790003600000,
		},
		grant,
	)]
	opened := object.union(settings, {"break_glass": {"grants": grants}})
	result := critical.decision with input as object.union(fixtures.proven("critical"), restoring)
		with data.lemma.critical.settings as opened
}

test_denies_without_grant if after(restoring) == fixtures.denied(["x_break_glass"])

test_allows_with_a_grant if broken({}) == fixtures.allowed

test_denies_with_a_grant_of_something_else if {
	every other in [
		{"runtime": "bot-2"}, {"action": "database.drop"}, {"reason": ""},
		{"from_ms": 1790000000124}, {"until_ms": 1790000000122}, {"until_ms": 1790014400001},
	] {
		broken(other) == fixtures.denied(["x_break_glass"])
	}
}

test_allows_other_actions_without_grant if after({"request": {"method": "POST"}}) == fixtures.allowed

test_denies_without_its_data if {
	critical.decision.reasons == ["x_break_glass"] with input as fixtures.proven("critical")
		with data.lemma.critical.settings as object.remove(settings, ["break_glass"])
}
