package lemma.low_test

import data.lemma.fixtures_test as fixtures
import data.lemma.low
import data.low.settings

decision(request) := result if {
	result := low.decision with input as request with data.lemma.low.settings as settings
}

after(change) := decision(object.union(fixtures.proven("low"), change))

denied(request, reasons) if decision(request) == fixtures.denied(reasons)

test_allows_proof if after({}) == fixtures.allowed

test_denies_missing_input if low.decision == fixtures.denied(["policy_denied"])

test_denies_malformed_input if {
	every request in [null, "", 0, [], {}, {"v": 1}] {
		denied(request, ["policy_denied"])
	}
}

test_denies_another_profile if {
	every profile in {"low", "high", "critical"} - {"low"} {
		after({"profile": profile}).reasons == ["policy_denied"]
	}
}

test_denies_asserted_and_none if {
	every via in ["asserted", "none"] {
		denied(fixtures.without_proof("low", via), ["policy_denied"])
	}
}

test_allows_public_without_proof if {
	request := object.union(fixtures.without_proof("low", "none"), {"route": {"public": true}, "request": {"method": "POST"}})
	decision(request) == fixtures.allowed
}

test_denies_taint_ahead if {
	after({"proof": {"taint_epoch": 4}}) == fixtures.denied(["taint_ahead"])
}

test_allows_budget_to_its_limit if after({"budget": {"limit": 5, "used": 5}}) == fixtures.allowed

test_denies_budget_beyond_its_limit if {
	after({"budget": {"limit": 5, "used": 6}}) == fixtures.denied(["budget_exhausted"])
}

test_denies_budget_that_is_not_understood if {
	after({"budget": {"limit": "6", "used": 5}}) == fixtures.denied(["budget_exhausted"])
}

test_denies_missing_json if {
	change := {"route": {"body": "json"}, "request": {"body": {"state": "complete"}}}
	after(change) == fixtures.denied(["context_missing"])
}

test_allows_json_of_any_value if {
	every json in [false, null, 0, {}] {
		change := {"route": {"body": "json"}, "request": {"body": {"state": "complete", "json": json}}}
		after(change) == fixtures.allowed
	}
}

test_missing_data_does_not_allow if {
	not low.decision.allow with input as fixtures.proven("low") with data.lemma.low.settings as {}
}

test_allows_bearer_credential_to_write if {
	after(object.union(fixtures.bearer, {"request": {"method": "POST"}})) == fixtures.allowed
}

test_allows_reading_with_stale_taint if after({"proof": {"taint_epoch": 2}}) == fixtures.allowed

test_denies_writing_with_stale_taint if {
	every method in ["POST", "DELETE", "TRACE", "get"] {
		after({"proof": {"taint_epoch": 2}, "request": {"method": method}}) == fixtures.denied(["taint_stale"])
	}
}

test_missing_epoch_counts_as_zero if {
	request := object.union(fixtures.proven("low"), {"request": {"method": "POST"}})
	denied(object.remove(request, ["proof"]), ["policy_denied"])
	without_epoch := json.remove(request, ["proof/taint_epoch"])
	denied(without_epoch, ["taint_stale"])
	decision(object.union(without_epoch, {"runtime": {"taint_epoch": 0}})) == fixtures.allowed
}

test_allows_state_of_30_s if after({"freshness": {"age_ms": 30000}}) == fixtures.allowed

test_denies_state_older_than_30_s if {
	after({"freshness": {"age_ms": 30001}}) == fixtures.denied(["freshness_stale"])
}

test_allows_binding_of_any_age if after(fixtures.binding_of_age_s(86400)) == fixtures.allowed

test_allows_without_run if {
	decision(json.remove(fixtures.proven("low"), ["proof/run_id"])) == fixtures.allowed
}

test_allows_truncated_body if {
	after({"route": {"body": "digest"}, "request": {"body": {"state": "truncated"}}}) == fixtures.allowed
}

test_denies_token_by_default if denied(fixtures.with_token("low"), ["legacy_disabled"])

test_allows_token_where_listed if {
	every method in ["GET", "POST"] {
		request := object.union(fixtures.with_token("low"), {"request": {"method": method}})
		low.decision == fixtures.allowed with input as request
			with data.lemma.low.settings as object.union(settings, {"legacy_routes": ["documents.read"]})
	}
}

test_denies_writing_token_after_taint if {
	change := {"request": {"method": "POST"}, "runtime": {"taint_epoch": 1}}
	denied(object.union(fixtures.with_token("low"), change), ["taint_stale", "legacy_disabled"])
}

test_denies_without_facts_of_freshness if {
	denied(json.remove(fixtures.proven("low"), ["freshness"]), ["freshness_stale"])
}

test_denies_without_fact_of_budget if {
	denied(json.remove(fixtures.proven("low"), ["budget"]), ["budget_exhausted"])
}
