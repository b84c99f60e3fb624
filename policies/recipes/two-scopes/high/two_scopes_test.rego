package lemma.high_two_scopes_test

import data.high.settings
import data.lemma.fixtures_test as fixtures
import data.lemma.high

decision(request) := result if {
	result := high.decision with input as request with data.lemma.high.settings as settings
}

after(change) := decision(object.union(fixtures.proven("high"), change))

releasing(scope) := after({"route": {"action": "payments.release"}, "proof": {"scope": scope}})

test_allows_with_both_scopes if releasing(["payments.release", "payments.approve"]) == fixtures.allowed

test_allows_with_a_wildcard if releasing(["payments.*"]) == fixtures.allowed

test_denies_with_one_of_them if {
	every scope in [["payments.release"], ["payments.release", "payments"], ["payments.release", "pay.*"], []] {
		releasing(scope) == fixtures.denied(["x_second_scope"])
	}
}

test_allows_other_actions_with_one if after({}) == fixtures.allowed

test_denies_without_its_data if {
	high.decision.reasons == ["x_second_scope"] with input as fixtures.proven("high")
		with data.lemma.high.settings as object.remove(settings, ["second_scopes"])
}
