-- Whether rows of lists have gone to a second database: then what is left here does not show everything.
ALTER TABLE cluster ADD COLUMN lists_elsewhere boolean NOT NULL DEFAULT false;
