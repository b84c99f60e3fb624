package lemma.low_upstreams_test

import data.lemma.fixtures_test as fixtures
import data.lemma.low
import data.low.settings

decision(request) := result if {
	result := low.decision with input as request with data.lemma.low.settings as settings
}

after(change) := decision(object.union(fixtures.proven("low"), change))

test_allows_a_listed_host if after({"request": {"host": "api.example.com"}}) == fixtures.allowed

test_allows_a_name_below_a_listed_one if after({"request": {"host": "a.b.internal.example"}}) == fixtures.allowed

test_denies_other_hosts if {
	every host in ["api.example.org", "example.com", "internal.example", "evilinternal.example", "", "api.example.com.evil.example"] {
		after({"request": {"host": host}}) == fixtures.denied(["x_upstream"])
	}
}

test_denies_without_its_data if {
	low.decision.reasons == ["x_upstream"] with input as fixtures.proven("low")
		with data.lemma.low.settings as object.remove(settings, ["upstreams"])
}
