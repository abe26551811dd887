-- A head that ended because the network whose features it takes is no longer in use; `assent doctor` names it.
ALTER TABLE head DROP CONSTRAINT head_state_check;
ALTER TABLE head ADD CONSTRAINT head_state_check
    CHECK (state IN ('shadow', 'live', 'replaced', 'withdrawn', 'ended'));
