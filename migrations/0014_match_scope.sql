-- The last day on which a key was refused for an author or connections that it has no scope for; `assent doctor` names it.
ALTER TABLE api_key ADD COLUMN match_refused_on date;
