# A runtime that was tainted only reads, until somebody has looked into it.
#
# That a new proof was issued is not enough: whoever looked writes the epoch down in the data.
package lemma.high

import data.lemma.high.settings
import data.lemma.lib

deny contains "x_quarantined" if {
	lib.identified
	not out_of_quarantine
}

out_of_quarantine if input.request.method in settings.reading_methods

out_of_quarantine if lib.at_most(input.runtime.taint_epoch, released_epoch)

# The epoch up to which its taints were looked into; 0 for one that never had any.
released_epoch := object.get(settings.quarantine.released, input.runtime.id, 0)
