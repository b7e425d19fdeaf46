-- What the bridge itself notes of a sale, a customer and an attempt stands in shorthand from here on, a fifth as long as the texts it takes
-- the place of: those are empty where a row has it. Rows of earlier layouts keep their texts until they are written again.
ALTER TABLE sales ADD COLUMN notes BYTEA;      -- trail, keys, awaits, seen, proof and teller
ALTER TABLE sales ADD COLUMN click_from TEXT;  -- how the click was come by; of a row without notes its trail says it
ALTER TABLE identities ADD COLUMN notes BYTEA; -- customer_origin and clicks
ALTER TABLE attempts ADD COLUMN sent BYTEA;    -- request
