-- contract: serves code from 46
-- Nobody writes pages any more but those who number what is noted, one after the other.

DROP TRIGGER number_at_once ON event_notes;
DROP FUNCTION number_at_once();
