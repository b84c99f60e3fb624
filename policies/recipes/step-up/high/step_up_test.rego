package lemma.high_step_up_test

import data.high.settings
import data.lemma.fixtures_test as fixtures
import data.lemma.high

decision(request) := result if {
	result := high.decision with input as request with data.lemma.high.settings as settings
}

after(change) := decision(object.union(fixtures.proven("high"), change))

paying(json) := object.union(fixtures.proven("high"), {
	"request": {"method": "POST", "body": {"state": "complete", "json": json}},
	"route": {"action": "payments.create", "body": "json"},
})

links(age) := [{"type": "runtime", "issued_at": 1789999990}, {"type": "run", "issued_at": 1790000000 - age}]

without_run(request) := json.remove(request, ["proof/run_id"])

test_allows_small_amounts_without_run if decision(without_run(paying({"amount": 100}))) == fixtures.allowed

test_denies_large_amounts_without_run if {
	decision(without_run(paying({"amount": 100.01}))) == fixtures.denied(["x_step_up"])
}

test_allows_large_amounts_with_a_fresh_run if {
	decision(object.union(paying({"amount": 5000}), {"proof": {"links": links(299)}})) == fixtures.allowed
}

test_denies_large_amounts_with_an_old_run if {
	request := object.union(paying({"amount": 5000}), {"proof": {"links": links(300)}})
	decision(request) == fixtures.denied(["x_step_up"])
}

test_denies_what_is_no_amount if {
	every json in [{}, {"amount": "5"}, {"amount": null}, {"amount": -5}, [], "5"] {
		decision(paying(json)) == fixtures.denied(["x_step_up"])
	}
}

test_allows_other_actions_without_amount if after({"request": {"method": "POST"}}) == fixtures.allowed

test_denies_without_its_data if {
	high.decision.reasons == ["x_step_up"] with input as paying({"amount": 100})
		with data.lemma.high.settings as object.remove(settings, ["amounts"])
}
