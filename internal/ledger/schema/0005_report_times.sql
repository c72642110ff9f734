-- A report about days that have not been is taken for about when it came.
DROP INDEX reports_by_span;
CREATE INDEX reports_by_span ON reports (min(coalesce("to", at), at), id);
