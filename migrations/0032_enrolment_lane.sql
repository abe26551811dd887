-- Photos of people wait in a lane of their own, below live events.
ALTER TABLE event DROP CONSTRAINT event_lane_check;
ALTER TABLE event ADD CONSTRAINT event_lane_check CHECK (lane IN ('interactive', 'live', 'enrolment', 'backfill'));
