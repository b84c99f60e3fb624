# Some actions only while somebody is at work to see them.
#
# A policy has no calendar and no time zones. `hours.offsets` says from when on how many minutes are added to UTC, so that
# summer time is data too. Days count from 0, a Sunday.
package lemma.high

import data.lemma.high.settings
import data.lemma.lib

deny contains "x_office_closed" if {
	lib.caller
	not office_serves
}

office_serves if {
	is_array(settings.hours.actions)
	not input.route.action in settings.hours.actions
}

office_serves if {
	local_day in settings.hours.days
	local_minute >= settings.hours.from_minute
	local_minute < settings.hours.to_minute
}

local_minute := floor((local_ms % 86400000) / 60000)

# 1970 began on a Thursday.
local_day := (floor(local_ms / 86400000) + 4) % 7

local_ms := input.now + (offset_minutes * 60000)

offset_minutes := offset.minutes if {
	begun := [offset | some offset in settings.hours.offsets; offset.from_ms <= input.now]
	latest := max([offset.from_ms | some offset in begun])
	some offset in begun
	offset.from_ms == latest
}
