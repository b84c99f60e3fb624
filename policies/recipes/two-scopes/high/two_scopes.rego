# Actions that need a second scope beside that of their route: whoever delegates must have meant both.
#
# Wildcards count as in the route map: `payments.*` covers `payments.approve`, not `payments`.
package lemma.high

import data.lemma.high.settings
import data.lemma.lib

deny contains "x_second_scope" if {
	lib.caller
	not second_scope_held
}

second_scope_held if {
	is_object(settings.second_scopes)
	not settings.second_scopes[input.route.action]
}

second_scope_held if {
	wanted := settings.second_scopes[input.route.action]
	some granted in input.proof.scope
	scope_covers(granted, wanted)
}

scope_covers(granted, wanted) if granted == wanted

scope_covers(granted, wanted) if {
	endswith(granted, ".*")
	startswith(wanted, trim_suffix(granted, "*"))
}
