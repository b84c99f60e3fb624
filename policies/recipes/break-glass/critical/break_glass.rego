# Actions that nobody may do, but for one runtime, a few hours and a reason that were reviewed.
#
# A grant ends by itself; one of more hours than `max_ms` never begins.
package lemma.critical

import data.lemma.critical.settings
import data.lemma.lib

deny contains "x_break_glass" if {
	lib.caller
	not glass_respected
}

glass_respected if {
	is_array(settings.break_glass.actions)
	not input.route.action in settings.break_glass.actions
}

glass_respected if {
	some grant in settings.break_glass.grants
	grant.runtime == input.runtime.id
	grant.action == input.route.action
	grant.reason != ""
	lib.at_most(grant.from_ms, input.now)
	lib.at_most(input.now, grant.until_ms)
	lib.at_most(grant.until_ms - grant.from_ms, settings.break_glass.max_ms)
}
