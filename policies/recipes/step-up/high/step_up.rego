# Small amounts with the proof that an agent has, larger ones with a fresh run that signs the request.
#
# The route says `body: json`. An amount that is no number, or is negative, is denied.
package lemma.high

import data.lemma.high.settings
import data.lemma.lib

deny contains "x_step_up" if {
	lib.caller
	not amount_covered
}

amount_covered if {
	is_array(settings.amounts.actions)
	not input.route.action in settings.amounts.actions
}

amount_covered if lib.at_most(amount, settings.amounts.without_step_up)

amount_covered if {
	amount
	stepped_up
}

amount := value if {
	value := input.request.body.json.amount
	is_number(value)
	value >= 0
}

stepped_up if {
	lib.possession_proven
	lib.run_proven
	some link in input.proof.links
	link.type == "run"
	lib.at_most(input.now - (link.issued_at * 1000), settings.amounts.run_max_age_ms)
}
