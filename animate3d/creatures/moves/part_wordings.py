"""Free wordings of the moves of parts, verbs first in their plain form."""

from __future__ import annotations

PART_WORDINGS: dict[str, tuple[str, ...]] = {
    "walk": (
        "walk", "walk forward", "stroll", "march", "take steps", "step forward", "go for a walk", "move its legs",
        "stride", "wander", "walk along", "amble", "walk on the spot", "pace", "plod", "trudge",
        "put one foot in front of the other",
    ),
    "run": (
        "run", "sprint", "jog", "dash", "race", "run away", "run on the spot", "rush", "trot", "run forward",
        "scamper", "run as fast as it can", "hurry along on its legs", "bolt",
    ),
    "gallop": (
        "gallop", "canter", "gallop like a horse", "bound along", "run at a gallop", "gallop away", "gallop forward",
        "charge ahead", "race like a horse", "bound over the fields", "go at a gallop", "lope",
    ),
    "crawl": (
        "crawl", "creep", "crawl along the ground", "sneak", "creep forward", "crawl on the floor", "prowl", "stalk",
        "scuttle", "crawl forward", "sneak along", "slink", "tiptoe", "crawl on all fours",
    ),
    "crouch": (
        "crouch", "crouch down", "lie down", "duck", "duck down", "squat", "kneel", "sit down", "hunker down",
        "squat down", "cower", "bend its knees", "lower its body", "do a squat", "get down low", "lie low",
    ),
    "kick": (
        "kick", "kick its leg", "kick a ball", "do a kick", "kick out", "kick forward", "swing its leg",
        "give a kick", "kick something", "kick with one leg", "strike with its foot", "raise its leg and kick",
        "boot the ball",
    ),
    "dance": (
        "dance", "boogie", "do a dance", "dance around", "groove", "dance to the music", "bust a move",
        "perform a dance", "disco", "party", "jive", "do a jig", "dance happily", "move to the beat",
        "move to the rhythm",
    ),
    "drive": (
        "drive", "roll on its wheels", "drive along", "drive away", "spin its wheels", "turn its wheels",
        "roll its wheels", "cruise", "ride", "drive down the road", "roll along on wheels", "start driving",
        "travel on its wheels", "motor", "set off on its wheels", "rotate its wheels",
    ),
    "shake_head": (
        "shake its head", "shake its head no", "say no", "shake the head from side to side", "refuse", "disagree",
        "toss its head", "swing its head from side to side", "waggle its head", "wag its head", "deny", "signal no",
        "turn its head left and right",
    ),
    "nod": (
        "nod", "nod its head", "say yes", "agree", "bob its head", "nod yes", "nod in agreement",
        "move its head up and down", "nod approvingly", "dip its head", "give a nod", "bob its head up and down",
        "approve",
    ),
    "turn_head": (
        "turn its head", "look to the side", "rotate its head", "look sideways", "turn its face",
        "glance to the side", "look over its shoulder", "swivel its head", "look away", "turn its gaze",
        "direct its gaze to the side", "face to the side with its head",
    ),
    "look_around": (
        "look around", "look about", "scan its surroundings", "survey the area", "look left and right",
        "look both ways", "search with its eyes", "look in all directions", "peer around", "gaze around",
        "watch its surroundings", "look for something", "check its surroundings", "glance around",
    ),
    "raise_head": (
        "raise its head", "lift its head", "stand up", "look up", "hold its head high", "stand up with its head",
        "lift its face", "stretch its neck up", "raise its neck", "rear its head", "gaze up at the sky",
        "look up at the sky", "rear up", "put its head up", "raise its snout",
    ),
    "lower_head": (
        "lower its head", "look down", "drop its head", "hang its head", "put its head down", "bow its head",
        "lay its head down", "look at the ground", "let its head sink", "lower its neck", "lower its snout", "graze",
        "droop its head", "stare at the floor",
    ),
    "peck": (
        "peck", "peck at the ground", "pick up grain", "peck at food", "eat from the ground", "pick at seeds",
        "peck at crumbs", "drink from the ground", "feed on the ground", "peck the floor", "nibble at the ground",
        "dip down and peck", "eat seeds", "bend down to eat",
    ),
    "roar": (
        "roar", "open its mouth", "open its jaw", "growl", "yawn", "bare its teeth", "scream", "shout", "howl",
        "bite", "open its jaws wide", "cry out", "bellow", "snap its jaws", "snarl", "bark", "open its beak", "gape",
        "sing", "talk",
    ),
    "flap": (
        "flap its wings", "beat its wings", "fly", "move its wings up and down", "flap", "fly with its wings",
        "wave its wings", "stroke its wings", "use its wings", "swing its wings", "fly along", "flap like a bird",
        "flap both wings", "soar with beating wings",
    ),
    "flutter": (
        "flutter", "flutter its wings", "quiver its wings", "whir its wings", "vibrate its wings", "buzz its wings",
        "flutter about", "flutter like a butterfly", "hover like a hummingbird", "beat its wings rapidly", "flit",
        "flutter around", "hum with its wings",
    ),
    "wag": (
        "wag its tail", "wag", "shake its tail", "wiggle its tail", "waggle its tail", "wag the tail happily",
        "move its tail quickly from side to side", "flick its tail", "wag its tail like a happy dog",
        "wave its tail in joy", "wag its tail from side to side", "greet with its tail",
    ),
    "swish": (
        "swish its tail", "sweep its tail", "swing its tail", "lash its tail", "swing its tail in a wide arc",
        "sweep its tail from side to side", "curl its tail", "whip its tail", "sway its tail", "bend its tail",
        "swipe with its tail", "swoosh its tail", "wave its tail",
    ),
    "wave": (
        "wave", "wave its arm", "wave its hand", "wave hello", "wave goodbye", "say hello", "greet", "greet someone",
        "signal with its hand", "wave at the viewer", "wave at someone", "say goodbye", "wave to the camera",
        "beckon", "salute", "say hi",
    ),
    "raise_arms": (
        "raise its arms", "lift its arms", "put its hands up", "throw its arms up", "reach up", "raise both arms",
        "cheer", "hold up its arms", "put its arms in the air", "surrender", "celebrate with raised arms",
        "lift both hands", "raise its hands", "stretch its arms up",
    ),
    "open_petals": (
        "open its petals", "bloom", "blossom", "open up like a flower", "unfold its petals", "spread its petals",
        "come into bloom", "unfurl its petals", "burst into bloom", "flower", "open its blossom", "open its bloom",
        "open in the sun",
    ),
    "close_petals": (
        "close its petals", "close", "fold its petals", "close its blossom", "close up like a flower",
        "fold up for the night", "shut its petals", "furl its petals", "draw its petals together", "close its bloom",
        "fold its petals inward", "close for the night", "fold its flower up",
    ),
    "open_lid": (
        "open its lid", "open", "lift its lid", "open up", "open its cover", "flip its lid open", "raise its lid",
        "open its top", "get opened", "pop open", "swing its lid open", "unclose", "lift its cover",
        "open like a chest",
    ),
    "propeller": (
        "spin its propeller", "turn its propeller", "rotate its propeller", "spin its rotor", "turn its blades",
        "spin its blades", "start its engine", "run its propeller", "whirl its propeller", "rotate its blades",
        "spin its fan", "rotate its rotor", "turn like a windmill",
    ),
    "wave_tentacles": (
        "wave its tentacles", "move its tentacles", "wiggle its tentacles", "curl its tentacles",
        "swing its tentacles", "sway its tentacles", "writhe its tentacles", "move its arms like an octopus",
        "squirm with its tentacles", "undulate its tentacles", "swirl its tentacles", "stir its tentacles",
        "flail its tentacles",
    ),
    "swim": (
        "swim", "swim forward", "swim around", "swim through the water", "paddle", "move through water",
        "swim like a fish", "wave its tail fin", "dart through the water", "go swimming", "glide through the water",
        "beat its tail fin", "swim along", "swim in the sea",
    ),
    "slither": (
        "slither", "slither forward", "snake along", "wriggle along the ground", "wind along the ground",
        "slither like a snake", "crawl like a snake", "glide along on its belly", "snake its way forward",
        "wind its body", "meander", "serpentine", "slither away", "move in curves",
    ),
    "dive": (
        "dive", "dive down", "swim down", "plunge into the deep", "nosedive", "take a dive", "swoop down",
        "go down nose first", "submerge", "dive into the water", "fly down", "dive headfirst", "swoop",
        "dip down nose first",
    ),
}  # fmt: skip
"""By the name of the move."""
