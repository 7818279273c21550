# The small evaluator's own tests: each case is a value and what it has to be, or that it has to be refused.
let
  lib = import ./lib.nix;
  inherit (lib)
    mkDefault
    mkForce
    mkIf
    mkMerge
    mkOption
    types
    ;
  small = import ./evaluator.nix;
  config =
    modules:
    (small.evaluate {
      inherit modules;
      args = { inherit lib; };
    }).config;
  one =
    type: values:
    (config ([ { options.a = mkOption { inherit type; }; } ] ++ map (a: { inherit a; }) values)).a;
  gives = want: got: {
    inherit want;
    got = builtins.tryEval (small.force got got);
  };
  refused = got: {
    want = null;
    got = builtins.tryEval (small.force got got);
    isRefused = true;
  };
  enabled =
    { config, ... }:
    {
      options.enable = mkOption {
        type = types.bool;
        default = false;
      };
      options.a = mkOption {
        type = types.int;
        default = 1;
      };
      config = mkIf config.enable { a = 2; };
    };
  inner = types.attrsOf (
    types.submodule (
      { name, ... }:
      {
        options.label = mkOption {
          type = types.str;
          default = name;
        };
      }
    )
  );

  cases = {
    "lists are joined in the real library's order" = gives [ "two" "one" ] (
      one (types.listOf types.str) [
        [ "one" ]
        [ "two" ]
      ]
    );
    "imports come breadth first" =
      let
        option.options.a = mkOption { type = types.listOf types.str; };
        nested = {
          imports = [ { a = [ "deep" ]; } ];
          config.a = [ "outer" ];
        };
      in
      gives [ "deep" "last" "outer" ]
        (config [
          option
          nested
          { a = [ "last" ]; }
        ]).a;
    "an option may depend on another one that is defined beside it" =
      gives 2
        (config [
          enabled
          { enable = true; }
        ]).a;
    "what is switched off does not count" = gives 1 (config [ enabled ]).a;
    "conditions stay closed while one descends" =
      gives 3
        (config [
          {
            options.x.y = mkOption { type = types.int; };
            options.x.z = mkOption { type = types.int; };
          }
          ({ config, ... }: { x = mkIf (config.x.y == 3) { z = 3; }; })
          { x.y = 3; }
        ]).x.z;
    "the stronger definition wins" = gives 2 (
      one types.int [
        (mkDefault 1)
        2
      ]
    );
    "force wins" = gives 3 (
      one types.int [
        (mkForce 3)
        2
      ]
    );
    "properties nest" = gives 4 (
      one types.int [
        (mkMerge [
          (mkIf true (mkForce 4))
          (mkIf false 9)
        ])
        (mkForce (mkIf false 8))
        5
      ]
    );
    "a default of the option is the weakest" =
      gives 7
        (config [
          {
            options.a = mkOption {
              type = types.int;
              default = 1;
            };
          }
          { a = mkDefault 7; }
        ]).a;
    "equal definitions agree" = gives 1 (
      one types.int [
        1
        1
      ]
    );
    "different ones are a conflict" = refused (
      one types.int [
        1
        2
      ]
    );
    "a wrong type is refused" = refused (one types.int [ "1" ]);
    "a number out of bounds is refused" = refused (one types.port [ 70000 ]);
    "a word that is not in the list is refused" = refused (one (types.enum [ "a" ]) [ "b" ]);
    "lines are joined" = gives "b\na" (
      one types.lines [
        "a"
        "b"
      ]
    );
    "null and a value are a conflict" = refused (
      one (types.nullOr types.int) [
        null
        1
      ]
    );
    "sets are merged key by key" =
      gives
        {
          x = 1;
          y = 2;
        }
        (
          one (types.attrsOf types.int) [
            { x = 1; }
            { y = 2; }
          ]
        );
    "a key that is switched off is not there" = gives { } (
      one (types.attrsOf types.int) [ { x = mkIf false 1; } ]
    );
    "anything merges sets and adds lists" =
      gives
        {
          x = {
            l = [
              2
              1
            ];
          };
        }
        (
          one types.anything [
            { x.l = [ 1 ]; }
            { x.l = [ 2 ]; }
          ]
        );
    "anything wants the rest to be equal" = refused (
      one types.anything [
        { x = 1; }
        { x = 2; }
      ]
    );
    "either takes what fits" = gives [ 1 ] (
      one (types.either types.int (types.listOf types.int)) [ [ 1 ] ]
    );
    "a submodule knows its name" = gives { n.label = "n"; } (one inner [ { n = { }; } ]);
    "a misspelt key in a submodule is refused" = refused (one inner [ { n.labl = "x"; } ]);
    "a misspelt option is refused" = refused (config [
      {
        options.a = mkOption {
          type = types.int;
          default = 1;
        };
      }
      { b = 1; }
    ]);
    "a misspelt option below a set is refused" = refused (config [
      {
        options.a.b = mkOption {
          type = types.int;
          default = 1;
        };
      }
      { a.c = 1; }
    ]);
    "a misspelt option is refused where it is switched off" = refused (config [
      { b = mkIf false 1; }
    ]);
    "freeform keys are kept beside declared ones" =
      gives
        {
          a = 1;
          b = "x";
        }
        (
          one
            (types.submodule {
              freeformType = types.attrsOf types.str;
              options.a = mkOption { type = types.int; };
            })
            [
              {
                a = 1;
                b = "x";
              }
            ]
        );
    "a freeform key of a wrong type is refused" = refused (
      one (types.submodule { freeformType = types.attrsOf types.str; }) [ { b = 1; } ]
    );
    "apply changes the value" =
      gives 2
        (config [
          {
            options.a = mkOption {
              type = types.int;
              apply = value: value + 1;
            };
          }
          { a = 1; }
        ]).a;
    "an option without a value is refused when it is read" = refused (one types.int [ ]);
    "and only then" =
      gives 1
        (config [
          {
            options.a = mkOption { type = types.int; };
            options.b = mkOption { type = types.int; };
          }
          { b = 1; }
        ]).b;
    "an option that is declared twice is refused" =
      refused
        (config [
          { options.a = mkOption { type = types.int; }; }
          { options.a = mkOption { type = types.int; }; }
        ]).a;
    "a key beside config is refused" = refused (config [
      {
        config = { };
        b = 1;
      }
    ]);
  };
  holds =
    case:
    if case.isRefused or false then
      !case.got.success
    else
      case.got.success && case.got.value == case.want;
in
{
  count = builtins.length (builtins.attrNames cases);
  failed = builtins.filter (name: !holds cases.${name}) (builtins.attrNames cases);
}
