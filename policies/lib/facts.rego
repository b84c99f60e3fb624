# What the three profiles read from the input. Every fact is a positive statement, so that a profile denies by
# `not fact`: a member that is missing, or of another type, can deny and never allow. The fact must be a rule of its
# own: OPA takes arguments out of a negated call, and `not f(undefined)` is then undefined instead of true.
package lemma.lib

# Who calls: "public" (the route asks for no credential), "proof" (a chain: as proof or as credential) or "token"
# (a legacy token). Undefined for whoever is nothing of these, and for an input that cannot be understood.
caller := "public" if {
	understood
	input.route.public == true
}

caller := "proof" if {
	understood
	input.route.public == false
	input.subject.via in {"proof", "credential"}
	is_object(input.proof)
	is_number(input.runtime.taint_epoch)
}

caller := "token" if {
	understood
	input.route.public == false
	input.subject.via == "token"
	is_number(input.runtime.taint_epoch)
}

understood if {
	input.v == 1
	is_number(input.now)
	is_string(input.request.method)
	input.request.body.state in {"none", "complete", "truncated", "unseen"}
	input.route.body in {"none", "digest", "json"}
}

# Callers with a runtime behind them, to whom state (freshness, taint) matters.
identified if caller in {"proof", "token"}

at_most(value, limit) if {
	is_number(value)
	is_number(limit)
	value <= limit
}

# A proof of possession that covers the body, where there is one.
possession_proven if {
	input.proof.pop.present == true
	input.request.body.state == "none"
}

possession_proven if {
	input.proof.pop.present == true
	input.proof.pop.body_covered == true
}

run_proven if {
	is_string(input.proof.run_id)
	input.proof.run_id != ""
}

# The taint epoch that the caller's proof was made at; one without counts as 0.
held_epoch := epoch if {
	epoch := input.proof.taint_epoch
} else := 0

taint_seen if at_most(input.runtime.taint_epoch, held_epoch)

taint_known if at_most(held_epoch, input.runtime.taint_epoch)

# Milliseconds since the runtime binding was issued; the oldest of several. `issued_at` is in seconds, and a binding
# that has none leaves the age undefined: the others do not speak for it.
binding_age_ms := max(ages) if {
	bindings := [link | some link in input.proof.links; link.type == "runtime"]
	ages := [age | some link in bindings; age := input.now - (link.issued_at * 1000)]
	count(ages) == count(bindings)
}

body_wanted if input.route.body in {"digest", "json"}

body_whole if input.request.body.state in {"none", "complete"}

# The route asks for JSON and the whole body was seen, yet it is none (or has duplicate keys).
context_lacking if {
	input.route.body == "json"
	input.request.body.state == "complete"
	not "json" in object.keys(input.request.body)
}

within_budget if is_null(input.budget)

within_budget if at_most(input.budget.used, input.budget.limit)
