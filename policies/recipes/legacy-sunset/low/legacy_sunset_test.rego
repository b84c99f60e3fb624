package lemma.low_legacy_sunset_test

import data.lemma.fixtures_test as fixtures
import data.lemma.low
import data.low.settings

decision(request) := result if {
	result := low.decision with input as request with data.lemma.low.settings as settings
}

after(change) := decision(object.union(fixtures.proven("low"), change))

listed := object.union(settings, {"legacy_routes": ["documents.read", "documents.list"]})

with_token(change) := result if {
	result := low.decision with input as object.union(fixtures.with_token("low"), change)
		with data.lemma.low.settings as listed
}

test_allows_a_token_before_the_sunset if with_token({}) == fixtures.allowed

test_denies_a_token_after_the_sunset if {
	with_token({"now": 1798761600001}) == fixtures.denied(["x_legacy_sunset"])
}

test_denies_a_token_where_no_sunset_is_said if {
	with_token({"route": {"id": "documents.list"}}) == fixtures.denied(["x_legacy_sunset"])
}

test_allows_proofs_after_the_sunset if after({"now": 1798761600001}) == fixtures.allowed
