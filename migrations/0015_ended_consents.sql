-- Consents that have ended and have no row any more, of erased people or of before a restore. Exports of keys carry them
-- until the next rotation: from then on no older backup opens for these people anyway.
CREATE TABLE ended_consent (
    tenant text NOT NULL REFERENCES tenant,
    id uuid NOT NULL,
    PRIMARY KEY (tenant, id)
);
