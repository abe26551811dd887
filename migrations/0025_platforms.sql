-- What a source sets about its platform: its address, and what of it is looked at (`SourceSettings`).
ALTER TABLE source ADD COLUMN settings jsonb NOT NULL DEFAULT '{}';
