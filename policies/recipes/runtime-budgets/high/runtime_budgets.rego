# A ceiling on what a runtime may use, whatever budget its proof was issued with.
#
# A proof without a budget is counted by nobody: it is beyond the ceiling.
package lemma.high

import data.lemma.high.settings
import data.lemma.lib

deny contains "x_runtime_budget" if {
	lib.identified
	not within_runtime_budget
}

within_runtime_budget if {
	is_object(settings.runtime_budgets)
	not settings.runtime_budgets[input.runtime.id]
}

within_runtime_budget if lib.at_most(input.budget.used, settings.runtime_budgets[input.runtime.id])
