package lemma.high_runtime_budgets_test

import data.high.settings
import data.lemma.fixtures_test as fixtures
import data.lemma.high

decision(request) := result if {
	result := high.decision with input as request with data.lemma.high.settings as settings
}

after(change) := decision(object.union(fixtures.proven("high"), change))

using(used) := after({"runtime": {"id": "crawler"}, "budget": {"limit": 100000, "used": used}})

test_allows_up_to_the_ceiling if using(1000) == fixtures.allowed

test_denies_beyond_the_ceiling if using(1001) == fixtures.denied(["x_runtime_budget"])

test_denies_a_proof_without_budget if {
	after({"runtime": {"id": "crawler"}}) == fixtures.denied(["x_runtime_budget"])
}

test_allows_other_runtimes_what_their_proofs_say if {
	after({"budget": {"limit": 100000, "used": 1001}}) == fixtures.allowed
}

test_denies_without_its_data if {
	high.decision.reasons == ["x_runtime_budget"] with input as fixtures.proven("high")
		with data.lemma.high.settings as object.remove(settings, ["runtime_budgets"])
}
