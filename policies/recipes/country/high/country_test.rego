package lemma.high_country_test

import data.high.settings
import data.lemma.fixtures_test as fixtures
import data.lemma.high

decision(request) := result if {
	result := high.decision with input as request with data.lemma.high.settings as settings
}

after(change) := decision(object.union(fixtures.proven("high"), change))

exporting(headers) := object.union(fixtures.proven("high"), {
	"route": {"action": "customers.export"},
	"request": {"headers": headers},
})

test_allows_an_accepted_country if decision(exporting({"x-client-country": "DE"})) == fixtures.allowed

test_denies_another_country if {
	decision(exporting({"x-client-country": "US"})) == fixtures.denied(["x_country"])
}

test_denies_where_the_edge_says_nothing if decision(exporting({})) == fixtures.denied(["x_country"])

test_allows_other_actions_from_anywhere if after({"request": {"headers": {"x-client-country": "US"}}}) == fixtures.allowed

test_denies_without_its_data if {
	high.decision.reasons == ["x_country"] with input as exporting({"x-client-country": "DE"})
		with data.lemma.high.settings as object.remove(settings, ["country"])
}
